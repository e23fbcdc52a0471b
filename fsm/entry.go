package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A log entry for the state machine is a header {version, now_ms, seed} and any number of {database, RESP command}.
// The header is what makes apply deterministic: no replica looks at its own clock or dice.

const (
	entryVersion    = 1
	EntryHeaderSize = 1 + 8 + 8
)

var errEntry = errors.New("malformed log entry")

// AppendEntryHeader begins an entry. nowMs is the leader's clock in Unix milliseconds, never lower than that of any
// earlier entry; seed feeds everything random in the entry.
func AppendEntryHeader(dst []byte, nowMs int64, seed uint64) []byte {
	dst = append(dst, entryVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(nowMs))
	return binary.LittleEndian.AppendUint64(dst, seed)
}

// AppendEntryCommand adds one write command.
func AppendEntryCommand(dst []byte, db int, raw []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(db))
	return append(dst, raw...)
}

// entryReader takes the commands out of an entry one by one, without copying: the arguments are parts of the entry.
type entryReader struct {
	nowMs int64
	seed  uint64
	rest  []byte
	last  *Spec // of the command before: most often the next one has the same name
}

func readEntry(data []byte) (r entryReader, err error) {
	if len(data) < EntryHeaderSize {
		return r, fmt.Errorf("%w: %d bytes", errEntry, len(data))
	}
	if data[0] != entryVersion {
		return r, fmt.Errorf("%w: version %d", errEntry, data[0])
	}
	r.nowMs = int64(binary.LittleEndian.Uint64(data[1:]))
	r.seed = binary.LittleEndian.Uint64(data[9:])
	r.rest = data[EntryHeaderSize:]
	return r, nil
}

func (r *entryReader) more() bool { return len(r.rest) > 0 }

// next reads one command into c, reusing c.Args, and checks that it is a write command this build knows: an entry is
// never skipped in part. It leaves the other fields alone.
func (r *entryReader) next(c *Command) error {
	db, n := binary.Uvarint(r.rest)
	if n <= 0 || db >= Databases {
		return fmt.Errorf("%w: database", errEntry)
	}
	raw := r.rest[n:]
	args, size, err := parseRESP(raw, c.Args[:0])
	if err != nil {
		return err
	}
	spec := r.last
	if spec == nil || !matchWord(args[0], spec.Name) {
		if spec, err = writeSpec(args); err != nil {
			return err
		}
		if r.last = spec; !matchWord(args[0], spec.Name) {
			r.last = nil // a sub-command
		}
	}
	if !spec.CheckArity(len(args)) {
		return fmt.Errorf("%w: %s with %d arguments", errEntry, spec.Name, len(args))
	}
	c.Spec, c.DB, c.Args = spec, int(db), args
	if c.Txn != nil {
		c.Txn = nil
	}
	if spec == execSpec {
		if c.Txn, err = parseTransaction(args); err != nil {
			return err
		}
	}
	r.rest = raw[size:]
	return nil
}

// writeSpec finds the write command that args begin with.
func writeSpec(args [][]byte) (*Spec, error) {
	spec := lookupAny(args[0])
	if spec != nil && spec.Subs != nil {
		spec = Find(args)
	}
	if spec != nil && spec.Logged != nil {
		spec = spec.Logged
	}
	if spec == nil || spec.Run == nil || spec.Flags&FlagWrite == 0 {
		return nil, fmt.Errorf("%w: %.64q is no write command", errEntry, args[0])
	}
	return spec, nil
}

// minBulk is the size in bytes of the shortest bulk string, "$0\r\n\r\n".
const minBulk = 6

// parseRESP reads an array of at least one bulk string at the beginning of b. It returns the strings as parts of b,
// and the size of the whole. How long a string may be is the proposer's business: what is in the log must be applied.
func parseRESP(b []byte, args [][]byte) (_ [][]byte, size int, err error) {
	count, at, ok := respLength(b, 0, '*')
	if !ok || count < 1 || count > (len(b)-at)/minBulk {
		return nil, 0, fmt.Errorf("%w: array", errEntry)
	}
	for range count {
		n, start, ok := respLength(b, at, '$')
		if !ok || n > len(b)-start-2 {
			return nil, 0, fmt.Errorf("%w: bulk string", errEntry)
		}
		end := start + n
		if b[end] != '\r' || b[end+1] != '\n' {
			return nil, 0, fmt.Errorf("%w: bulk string", errEntry)
		}
		args = append(args, b[start:end:end])
		at = end + 2
	}
	return args, at, nil
}

// respLength reads a line of a mark and a canonical number, up to the size of b, that stands at b[at:]; next is behind the
// line.
func respLength(b []byte, at int, mark byte) (n, next int, ok bool) {
	if at >= len(b) || b[at] != mark {
		return 0, 0, false
	}
	i := at + 1
	for ; i < len(b); i++ {
		digit := int(b[i] - '0')
		if digit > 9 {
			break
		}
		if n = n*10 + digit; n > len(b) {
			return 0, 0, false
		}
	}
	if i == at+1 || i > at+2 && b[at+1] == '0' || i+1 >= len(b) || b[i] != '\r' || b[i+1] != '\n' {
		return 0, 0, false
	}
	return n, i + 2, true
}

// ApplyEntry applies a whole entry as a follower or a restarting node does: the replies go nowhere. An error, which
// names the place in the entry, means that it is damaged or from a newer version; the node must stop, because part of it
// may have been applied.
// Applier only.
func (s *Store) ApplyEntry(index uint64, data []byte) error {
	r, err := readEntry(data)
	if err != nil {
		return fmt.Errorf("apply entry %d: %w", index, err)
	}
	s.Begin(index, r.nowMs, r.seed)
	n, before := 0, 0
	for r.more() {
		c := &s.replay.cmds[n]
		if err := r.next(c); err != nil {
			return fmt.Errorf("apply entry %d: command %d at byte %d: %w", index, before+n+1, len(data)-len(r.rest), err)
		}
		s.Place(c)
		if n++; n == Group {
			s.ExecGroup(s.replay.group[:n], s.replay.outs[:n])
			n, before = 0, before+n
		}
	}
	s.ExecGroup(s.replay.group[:n], s.replay.outs[:n])
	s.replay.release(min(before+n, Group))
	s.End()
	return nil
}

// replay is ApplyEntry's scratch: the commands of a group, whose Args are reused, and who takes their replies.
type replay struct {
	cmds  [Group]Command
	group [Group]*Command
	outs  [Group]Out
}

func (r *replay) init() {
	for i := range r.cmds {
		r.group[i], r.outs[i] = &r.cmds[i], discard{}
	}
}

// release lets go of the entry, of which the first n commands were used.
func (r *replay) release(n int) {
	for i := range n {
		clear(r.cmds[i].Args)
		r.cmds[i].Txn = nil
	}
}

// Discard is an Out for commands whose replies nobody waits for.
var Discard Out = discard{}

type discard struct{}

func (discard) Simple(string)           {}
func (discard) Error(string)            {}
func (discard) Int(int64)               {}
func (discard) Bulk([]byte)             {}
func (discard) BulkString(string)       {}
func (discard) Null()                   {}
func (discard) NullArray()              {}
func (discard) Array(int)               {}
func (discard) Map(int)                 {}
func (discard) Set(int)                 {}
func (discard) Push(int)                {}
func (discard) Double(float64)          {}
func (discard) DoubleText([]byte)       {}
func (discard) Bool(bool)               {}
func (discard) BigNumber(string)        {}
func (discard) Verbatim(string, string) {}
func (discard) RESP3() bool             { return false }
func (discard) Len() int                { return 0 }
func (discard) Truncate(int)            {}
