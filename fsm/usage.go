package fsm

// Every record notes in 24 bits how its key is used on this node, as in Redis: the second of the last use or, with an LFU
// policy, the minute of the last use (16) and a logarithmic counter of uses (8). It costs no memory, a reader changes it
// under its read lock, and it is no part of the state: neither snapshots nor hashes hold it, and what follows from it on
// other nodes stands in the log, see evict.go. A node learns of the writes it applies and of the reads it serves; so a new
// leader knows the writes, and of the reads only those that it has served itself.

// Use says how uses are noted.
type Use struct {
	LFU       bool
	LogFactor int64 // how many uses a high counter takes to grow: lfu-log-factor
	Decay     int64 // minutes without use after which a counter shrinks by one, 0 = never: lfu-decay-time
}

const (
	useMinutes  = 24 // where the minutes stand in Store.use, above the seconds
	useLFU      = 1 << 40
	firstCount  = 5   // of a new key, so that it is not the first to go
	mostCount   = 255 // counters go no further
	countBits   = 8
	minutesMask = 1<<16 - 1
)

// NoteUse sets the clock of uses, in seconds of any interval clock of this node, and how they are noted. A Store that was
// never told stands at 0. Any goroutine.
func (s *Store) NoteUse(seconds int64, u Use) {
	now := uint64(seconds)&useMask | uint64(seconds/60)&minutesMask<<useMinutes
	if u.LFU {
		now |= useLFU
	}
	if s.use.Load() != now {
		s.use.Store(now)
	}
	if s.logFactor.Load() != u.LogFactor {
		s.logFactor.Store(u.LogFactor)
	}
	if s.decay.Load() != u.Decay {
		s.decay.Store(u.Decay)
	}
}

// newUse is what the record of a new key notes.
func (s *Store) newUse() uint32 {
	now := s.use.Load()
	if now&useLFU == 0 {
		return uint32(now) & useMask
	}
	return uint32(now>>useMinutes)&minutesMask<<countBits | firstCount
}

// usedBefore says that a use at a clock of uses changes what r notes. Most often it is the same second.
func (r record) usedBefore(now uint64) bool { return uint64(r.use()) != now&(useMask|useLFU) }

// changeUse notes a use of the key of r; dice is a number that differs from use to use.
// REQUIRES: the key's shard is locked.
func (s *Store) changeUse(r record, now, dice uint64) {
	use := uint32(now) & useMask
	if now&useLFU != 0 {
		use = s.countUse(r.use(), now, dice)
	}
	if use != r.use() {
		r.setUse(use)
	}
}

// countUse is the LFU word old with one more use.
func (s *Store) countUse(old uint32, now, dice uint64) uint32 {
	minute := uint32(now>>useMinutes) & minutesMask
	n := s.count(old, minute)
	if n < mostCount {
		above := max(0, int64(n)-firstCount)
		if odds := 1 / (float64(above)*float64(s.logFactor.Load()) + 1); float64(splitMix(s.readSeed+dice)>>11) < odds*(1<<53) {
			n++
		}
	}
	return minute<<countBits | n
}

// count is the counter of an LFU word at a minute, less what it lost since the last use.
func (s *Store) count(use, minute uint32) uint32 {
	n := use & mostCount
	if decay := s.decay.Load(); decay > 0 {
		n -= uint32(min(int64(n), int64((minute-use>>countBits)&minutesMask)/decay))
	}
	return n
}

// idle is how long, by the word of its record, a key has not been used; the larger the better a victim. With LFU it is how
// far its counter is from the highest.
func (s *Store) idle(use uint32) uint64 {
	now := s.use.Load()
	if now&useLFU != 0 {
		return uint64(mostCount - s.count(use, uint32(now>>useMinutes)&minutesMask))
	}
	return uint64((uint32(now) - use) & useMask)
}

// usedAs is what the record of a key notes whose last use was so many seconds ago, or whose counter stands so high; the way that
// does not fit the policy is ignored, and -1 = not known.
func (s *Store) usedAs(idle, freq int64) (use uint32, ok bool) {
	now := s.use.Load()
	if now&useLFU != 0 {
		return uint32(now>>useMinutes)&minutesMask<<countBits | uint32(freq)&mostCount, freq >= 0
	}
	return (uint32(now) - uint32(min(idle, useMask))) & useMask, idle >= 0
}

// changeUse notes a use by a write of the key at p, once for each key in a row: a command may look its key up several times.
func (tx *Tx) changeUse(p *place, now uint64) {
	if tx.used == p.num<<slotBits|p.slot && tx.usedHash == p.hash {
		return
	}
	tx.used, tx.usedHash = p.num<<slotBits|p.slot, p.hash
	tx.s.changeUse(p.record, now, tx.s.index+tx.s.position*golden)
}

const slotBits = 14

// The sub-commands of OBJECT that tell of the use of keys on this node.
var (
	ObjectFreq     = objectSpec("freq", "4.0.0", runObjectFreq, "Returns the logarithmic counter of a key's uses.")
	ObjectIdleTime = objectSpec("idletime", "2.2.3", runObjectIdleTime, "Returns the seconds since a key was used last.")
)

func runObjectFreq(tx *Tx, args [][]byte, out Out) {
	s := tx.s
	it := tx.inspect(args[2])
	now := s.use.Load()
	switch {
	case it.absent():
		out.Null()
	case now&useLFU == 0:
		out.Error(errNotLFU)
	default:
		out.Int(int64(s.count(it.use(), uint32(now>>useMinutes)&minutesMask)))
	}
}

func runObjectIdleTime(tx *Tx, args [][]byte, out Out) {
	it := tx.inspect(args[2])
	switch {
	case it.absent():
		out.Null()
	case tx.s.use.Load()&useLFU != 0:
		out.Error(errLFU)
	default:
		out.Int(int64(tx.s.idle(it.use())))
	}
}
