package fsm

import "bytes"

// KeySpec describes one group of a command's keys, as COMMAND INFO does.
type KeySpec struct {
	Flags []string // RW, access, update, ...
	Begin int      // position of the first key or, with Counted, of the argument that says how many keys follow it
	Last  int      // of the last key, relative to Begin; negative counts from the end; not with Counted
	Step  int      // from key to key
	// Counted groups have their size in the argument before them.
	Counted bool
	// Find finds the group where the fields above cannot: what COMMAND INFO calls unknown; nil = they can.
	Find func(args [][]byte, dst []int) []int
	// Keyword stands in front of the group, at Begin or later; empty = none does. Such a group may be missing.
	Keyword string
	// Half says, with Keyword, that as many arguments that are no keys stand behind the keys.
	Half bool
}

// oneKey is a group of a single key.
func oneKey(at int, flags ...string) KeySpec { return KeySpec{Flags: flags, Begin: at, Step: 1} }

// keysFrom is a group of every argument from a position on.
func keysFrom(at int, flags ...string) KeySpec {
	return KeySpec{Flags: flags, Begin: at, Last: -1, Step: 1}
}

// countedKeys is a group of as many keys as the argument at says.
func countedKeys(at int, flags ...string) KeySpec {
	return KeySpec{Flags: flags, Begin: at, Step: 1, Counted: true}
}

// keysBehind is a group of the keys behind a word, which stands at a position or later, with an argument for each behind them.
func keysBehind(word string, from int, flags ...string) KeySpec {
	return KeySpec{Flags: flags, Begin: from, Last: -1, Step: 1, Keyword: word, Half: true}
}

// keyBehind is a group of the key behind a word, which stands at a position or later.
func keyBehind(word string, from int, flags ...string) KeySpec {
	return KeySpec{Flags: flags, Begin: from, Step: 1, Keyword: word}
}

// madeKeys is a group of keys whose names no argument holds.
func madeKeys(flags ...string) KeySpec {
	return KeySpec{Flags: flags, Find: func(_ [][]byte, dst []int) []int { return dst }}
}

// KeyGroups returns the groups of the command's keys, nil for a command without keys.
func (s *Spec) KeyGroups() []KeySpec {
	if s.KeySpecs != nil || s.FirstKey == 0 {
		return s.KeySpecs
	}
	last := s.LastKey
	if last > 0 {
		last -= s.FirstKey
	}
	return []KeySpec{{Flags: s.KeyFlags, Begin: s.FirstKey, Last: last, Step: max(1, s.KeyStep)}}
}

// Positions appends the positions of the group's keys in args to dst; false when args do not hold a whole group.
func (k *KeySpec) Positions(args [][]byte, dst []int) ([]int, bool) {
	first, last := k.Begin, k.Begin+k.Last
	switch {
	case k.Find != nil:
		return k.Find(args, dst), true
	case k.Keyword != "":
		for at := k.Begin; at < len(args)-1; at++ {
			if !bytes.EqualFold(args[at], []byte(k.Keyword)) {
				continue
			}
			if rest := len(args) - 1 - at; k.Half {
				return append(dst, span(at+1, at+1+rest/2)...), rest%2 == 0
			}
			return append(dst, at+1), true
		}
		return dst, true
	case k.Counted:
		if k.Begin >= len(args) {
			return dst, false
		}
		n, ok := parseInt(args[k.Begin])
		if !ok || n < 1 || n > int64(len(args)-1-k.Begin) {
			return dst, false
		}
		first, last = k.Begin+1, k.Begin+int(n)
	case k.Last < 0:
		last = len(args) + k.Last
	}
	if first > last || last >= len(args) {
		return dst, false
	}
	for at := first; at <= last; at += k.Step {
		dst = append(dst, at)
	}
	return dst, true
}

// setKeyFlags are the flags of SET's key: what it held is only looked at with GET.
func setKeyFlags(args [][]byte) []string {
	for _, a := range args[min(3, len(args)):] {
		if matchWord(a, "get") {
			return []string{"RW", "access", "update"}
		}
	}
	return []string{"OW", "update"}
}
