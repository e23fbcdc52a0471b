package fsm

import "sort"

// specs lists every data command, sorted by name.
var specs = collect(stringCommands, genericCommands, listCommands, setCommands, hashCommands, hashExpireCommands, zsetCommands,
	bitmapCommands, hllCommands, geoCommands, streamCommands)

// byName finds any command, also internal ones, by its lower-case name. It is never ranged over.
var byName = indexSpecs(specs, internalCommands)

func collect(groups ...[]*Spec) []*Spec {
	var all []*Spec
	for _, g := range groups {
		all = append(all, g...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

func indexSpecs(groups ...[]*Spec) map[string]*Spec {
	m := make(map[string]*Spec)
	for _, g := range groups {
		for _, s := range g {
			m[s.Name] = s
		}
	}
	return m
}

// Lookup returns the data command with this name, in any case, or nil. It does not allocate.
func Lookup(name []byte) *Spec {
	s := lookupAny(name)
	if s == nil || s.Flags&FlagInternal != 0 {
		return nil
	}
	return s
}

// lookupAny is Lookup that finds internal commands, too.
func lookupAny(name []byte) *Spec {
	var lower [32]byte
	if len(name) > len(lower) {
		return nil
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return byName[string(lower[:len(name)])]
}

// Find returns the data command that a client asks for with args, a sub-command if the first word names a container of them; nil if
// there is none. REQUIRES: there is a first word.
func Find(args [][]byte) *Spec {
	s := Lookup(args[0])
	if s == nil || s.Subs == nil {
		return s
	}
	if len(args) > 1 {
		for _, sub := range s.Subs {
			if matchWord(args[1], sub.Name) {
				return sub
			}
		}
	}
	return nil
}

// Specs returns every data command except internal ones, sorted by name. The caller must not change it.
func Specs() []*Spec { return specs }

// CheckArity reports whether n arguments, the name included, are a legal number.
func (s *Spec) CheckArity(n int) bool {
	if s.Arity >= 0 {
		return n == s.Arity
	}
	return n >= -s.Arity
}

// KeyPositions appends the positions of the keys in args to dst. Positions that args do not reach are left out, so it
// may be called before any check; args[0] is the name.
func (s *Spec) KeyPositions(args [][]byte, dst []int) []int {
	if s.Keys != nil {
		return s.Keys(args, dst)
	}
	if s.FirstKey == 0 {
		return dst
	}
	last := s.LastKey
	if last < 0 {
		last += len(args)
	}
	last = min(last, len(args)-1)
	for i := s.FirstKey; i <= last; i += max(1, s.KeyStep) {
		dst = append(dst, i)
	}
	return dst
}

// numberedKeys returns a Keys function for commands whose argument at count says how many keys follow directly behind
// it; the positions in fixed are keys, too, and come first. A count that is not a number up to what args hold gives no
// numbered keys: the command answers the error.
func numberedKeys(count int, fixed ...int) func(args [][]byte, dst []int) []int {
	return func(args [][]byte, dst []int) []int {
		if count >= len(args) {
			return dst
		}
		dst = append(dst, fixed...)
		n, ok := parseInt(args[count])
		if !ok || n < 1 || n > int64(len(args)-count-1) {
			return dst
		}
		for i := range int(n) {
			dst = append(dst, count+1+i)
		}
		return dst
	}
}
