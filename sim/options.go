package sim

import (
	"fmt"
	"strings"

	"kvapp/fsm"
)

const (
	us     = int64(1_000)
	ms     = int64(1_000_000)
	second = int64(1_000_000_000)
)

// class is a kind of fault that a world can have, or not have.
type class uint8

const (
	lossClass class = iota
	duplicateClass
	slowClass   // a message takes much longer than the others
	replayClass // an old message comes again
	partitionClass
	clogClass // a link holds everything back and lets it go at once
	pauseClass
	killClass   // kill -9
	powerClass  // power failure
	fullClass   // no room on the disk
	rotClass    // a durable bit flips
	wipeClass   // the disk is lost
	wallClass   // wall time jumps
	driftClass  // a clock goes at another speed
	takeClass   // somebody asks for a snapshot
	changeClass // somebody asks for another membership
	handClass   // somebody asks that another shall lead
	streamClass // a snapshot stream breaks
	stallClass  // a write takes very long
	hangClass   // a write never ends
	errorClass  // a write fails
	busyClass   // a turn of the loop takes time
	applyClass  // the state machine lags
	clients     // not a fault: what clients do, so that shrinking can leave it out
	sundry      // not a fault either: commands of every kind, see sundryCommand
	memory      // keys may take no more than a limit, which somebody changes now and then
	reserve     // nodes keep a part of their disks free; one that gets full stays as full as that while progress is demanded
	spoilClass  // a snapshot file is damaged while its node is down
	lose        // when the faults end a majority of the disks is lost for good, see lost.go
	blocks      // not a fault: clients push to lists, and wait for what others push, see lists.go
	multi       // not a fault: transactions, see transactions.go
	classes
)

var classNames = [classes]string{
	"loss", "duplicate", "slow", "replay", "partition", "clog", "pause", "kill", "power", "full", "rot", "wipe", "wall",
	"drift", "take", "change", "transfer", "stream", "stall", "hang", "error", "busy", "apply", "clients", "sundry", "memory", "reserve",
	"spoil", "lose", "blocks", "multi",
}

// purpose names what random bits are for that always have a meaning, as a class names faults.
type purpose uint8

const (
	messageDelay purpose = 128 + iota
	fsyncTime
	snapshotTime
	coreSeed
	clientOp
	clientPause
	requestTime
	nemesisTime
	waitTime
	unblockTime
)

// always is the odds of what happens every time; odds are in 65536ths.
const always = 1 << 16

// Options are everything that a world is made of. Draw takes them from a seed. Times are in ns, odds in 65536ths.
type Options struct {
	Seed  uint64
	Small bool
	Nodes int
	// Spares are nodes that are no members at first.
	Spares int

	Duration int64 // of the phase with faults
	Quiet    int64 // no faults before

	// The node under test.
	Election, Heartbeat        int64
	MaxAppendBytes             int
	MaxInflightMsgs            int
	MaxInflightBytes           int
	MaxUncommitted, CacheBytes int64
	MaxEntryBytes              int
	SnapshotBytes, HoldBytes   int64
	SnapshotKeep               uint64
	HashEvery                  uint64 // entries between two points
	SegmentSize                int    // of the journal
	ApplyBacklog               int64
	QuorumReads                bool
	ParkTimeout, CommitTimeout int64
	Turn, Apply                int64 // longest time that one turn of the loop, and of the applier, takes
	Drift                      int64 // of a clock, in millionths, at most
	Odds                       [classes]int64
	NemesisEvery               int64
	MinDelay, MeanDelay        int64 // of messages
	Ordered                    bool  // links do not reorder
	MinFsync, MeanFsync        int64
	FaultLasts                 int64 // at most
	Clients, Keys              int
	Think                      int64 // mean pause of a client
	Generation                 int   // operations on a key before another takes its place
	CheckEvery                 int   // turns between two looks at everything, see raft.Check
	CopyEntries                bool  // a message's entries are copied: nodes share no memory

	// With the class memory: what is done about keys that take more than MaxMemory bytes.
	MaxMemory int64
	Policy    fsm.Policy
	Samples   int

	DiskReserve int64 // with the class reserve: bytes of the disk that are left free
}

// Draw takes the options of a world from its seed: which faults there are and how strong, so that every seed is another
// kind of world. Half of the worlds are small.
func Draw(seed uint64) Options {
	d := dice(mix(seed))
	if d.oneIn(2) {
		return draw(seed, &d, false)
	}
	return DrawSmall(seed)
}

// DrawSmall draws a world in which every limit is tiny, because small limits are reached sooner.
func DrawSmall(seed uint64) Options {
	d := dice(mix(seed + 1))
	return draw(seed, &d, true)
}

// DrawLarge draws a world with up to seven nodes, more clients, and limits as in production.
func DrawLarge(seed uint64) Options {
	d := dice(mix(seed + 2))
	return draw(seed, &d, false)
}

func draw(seed uint64, d *dice, small bool) Options {
	o := Options{
		Seed: seed, Small: small, Nodes: 3,
		Duration: 12 * second, Quiet: second,
		Election:       d.pick(100, 200, 400, 400, 1000) * ms,
		MaxAppendBytes: int(d.between(1, 512)), MaxInflightMsgs: int(d.between(1, 8)),
		MaxInflightBytes: int(d.between(64, 4096)), MaxUncommitted: d.between(64, 8192), CacheBytes: d.between(0, 2048),
		MaxEntryBytes: int(d.between(32, 512)), SegmentSize: int(d.between(256, 8192)),
		SnapshotBytes: d.between(256, 8<<10), SnapshotKeep: uint64(d.n(10)),
		ApplyBacklog: d.between(128, 1<<16), ParkTimeout: 500 * ms, CommitTimeout: 1500 * ms,
		Clients: 1 + d.n(6), Keys: 1 + d.n(3), Think: d.between(5, 200) * ms, Generation: 60,
		CheckEvery: 7, CopyEntries: d.oneIn(4),
	}
	if !small {
		o.Nodes = int(d.pick(1, 2, 3, 3, 4, 5, 5, 6, 7))
		o.Duration = 60 * second
		o.MaxAppendBytes, o.MaxInflightMsgs, o.MaxInflightBytes = 1<<20, 256, 16<<20
		o.MaxUncommitted, o.CacheBytes, o.MaxEntryBytes = 64<<20, d.between(1<<10, 1<<20), 1<<20
		o.SnapshotBytes, o.SnapshotKeep, o.ApplyBacklog = d.between(16<<10, 1<<20), uint64(d.n(10000)), 256<<20
		o.SegmentSize = int(d.between(4<<10, 4<<20))
		o.ParkTimeout, o.CommitTimeout = 2*second, 5*second
		o.Clients, o.Keys, o.Think, o.CheckEvery = 4+d.n(30), 1+d.n(20), d.between(5, 200)*ms, 97
		o.Generation = 200
	}
	o.Heartbeat = o.Election / d.pick(3, 5, 8)
	o.HoldBytes = o.SnapshotBytes * d.pick(1, 4, 16)
	o.QuorumReads = d.oneIn(3)
	o.HashEvery = uint64(8 << (mix(seed^golden>>2) % 4))
	if !small {
		o.HashEvery *= 8
	}
	o.network(d)
	o.faults(d)
	if more := dice(mix(seed ^ golden>>1)); more.oneIn(2) { // the other numbers stay what they are without it
		o.Odds[sundry] = more.between(2000, 40000)
	}
	if more := dice(mix(seed ^ golden>>3)); more.oneIn(3) {
		o.limits(&more)
	}
	if more := dice(mix(seed ^ golden>>4)); more.oneIn(2) {
		o.Odds[reserve], o.DiskReserve = always, more.between(4<<10, 64<<10)
		if o.Odds[fullClass] == 0 && more.oneIn(2) {
			o.Odds[fullClass] = more.between(100, 2000)
		}
	}
	// As with rot: of a changing membership nobody can say who must keep a state.
	if more := dice(mix(seed ^ golden>>5)); more.oneIn(2) && o.Odds[killClass]+o.Odds[powerClass] > 0 && o.Odds[changeClass] == 0 {
		o.Odds[spoilClass] = more.between(6000, 50000)
	}
	if more := dice(mix(seed ^ golden>>6)); more.oneIn(4) && o.Odds[changeClass]+o.Odds[spoilClass] == 0 && o.Nodes > 1 {
		o.Odds[lose] = always
	}
	if more := dice(mix(seed ^ golden>>7)); more.oneIn(3) {
		o.Odds[blocks] = more.between(2000, 40000)
	}
	if more := dice(mix(seed ^ golden>>8)); more.oneIn(3) {
		o.Odds[multi] = more.between(2000, 40000)
	}
	return o
}

// limits draws a limit that is passed soon, and who has to go then.
func (o *Options) limits(d *dice) {
	o.Odds[memory] = d.between(100, 4000)
	o.MaxMemory = d.between(1<<10, 16<<10)
	if !o.Small {
		o.MaxMemory *= 4
	}
	o.Policy, o.Samples = fsm.Policy(d.n(int(fsm.VolatileTTL)+1)), 1+d.n(10)
	if d.oneIn(2) { // there most is evicted
		o.Policy = fsm.AllKeysLRU + fsm.Policy(d.n(3))
	}
}

func (o *Options) network(d *dice) {
	o.MinDelay = d.between(10*us, 2*ms)
	o.MeanDelay = d.between(10*us, o.Election/20)
	o.Ordered = d.oneIn(2)
	o.MinFsync = d.between(10*us, 500*us)
	o.MeanFsync = d.between(10*us, o.Election/20)
}

// faults draws which faults there are: each in about half of the worlds, and one world in eight has none.
func (o *Options) faults(d *dice) {
	o.NemesisEvery = d.between(20, 500) * ms
	o.FaultLasts = d.between(1, 12) * o.Election
	o.Odds[clients] = always
	if d.oneIn(8) {
		return
	}
	set := func(c class, least, most int64) {
		if d.oneIn(2) {
			o.Odds[c] = d.between(least, most)
		}
	}
	set(lossClass, 60, 12000)
	set(duplicateClass, 60, 16000)
	set(slowClass, 60, 6000)
	set(replayClass, 60, 12000)
	set(partitionClass, 300, 12000)
	set(clogClass, 300, 12000)
	set(pauseClass, 300, 8000)
	set(killClass, 300, 8000)
	set(powerClass, 300, 8000)
	set(fullClass, 100, 2000)
	set(rotClass, 100, 2000)
	set(wipeClass, 50, 500)
	set(wallClass, 300, 12000)
	set(driftClass, 300, 12000)
	set(takeClass, 300, 12000)
	set(changeClass, 600, 12000)
	set(handClass, 600, 12000)
	set(streamClass, 600, 10000)
	set(stallClass, 30, 1000)
	set(hangClass, 5, 100)
	set(errorClass, 5, 200)
	set(busyClass, 600, always)
	set(applyClass, 600, always)
	if o.Odds[changeClass] > 0 {
		// Which disks may be lost follows from the membership, and that is anybody's guess while it changes.
		o.Odds[rotClass], o.Odds[wipeClass] = 0, 0
		o.Spares = d.n(MaxNodes - o.Nodes + 1)
		if o.Small {
			o.Spares = d.n(3)
		}
	}
	o.Turn = d.between(20*us, o.Election/10)
	o.Apply = d.between(20*us, o.Election/2)
	o.Drift = d.pick(0, 100, 1000, 20000) // twice this is what two clocks can differ by; the lease allows for a tenth
	if o.QuorumReads && d.oneIn(2) {
		o.Drift = 200_000
	}
}

// Faults names the fault classes that are on, with their odds in percent.
func (o *Options) Faults() string {
	var b strings.Builder
	for c := range classes {
		if o.Odds[c] > 0 && c != clients {
			fmt.Fprintf(&b, " %s %.1f%%", classNames[c], float64(o.Odds[c])*100/always)
		}
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()[1:]
}

// String is the one line that a run prints about its world.
func (o *Options) String() string {
	size := "large"
	if o.Small {
		size = "small"
	}
	reads := "lease"
	if o.QuorumReads {
		reads = "quorum"
	}
	limit := ""
	if o.Odds[memory] > 0 {
		limit = fmt.Sprintf(", %d bytes of keys with %v", o.MaxMemory, o.Policy)
	}
	return fmt.Sprintf("seed %d: %s, %d nodes, election %dms, %s reads, delay %d+%dus, fsync %d+%dus, %d clients%s, faults: %s",
		o.Seed, size, o.Nodes, o.Election/ms, reads, o.MinDelay/us, o.MeanDelay/us, o.MinFsync/us, o.MeanFsync/us, o.Clients, limit, o.Faults())
}
