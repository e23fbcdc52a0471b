//go:build oracle

package fsm

import (
	"bufio"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm/rdb"
)

var (
	differFrom   = flag.Int64("differ.from", 0, "first seed of the random comparison with redis-server, of the fresh ones 0 = by the clock")
	differRounds = flag.Int64("differ.rounds", 12, "how many seeds it tries")
	differFor    = flag.Duration("differ.for", 5*time.Second, "how long fresh seeds are tried")
)

// differ runs the same random commands on a live redis-server and on a machine. Deadlines really pass: a batch is much
// shorter than the shortest time to live in it, and behind a batch that set a short one both sides wait it out.
type differ struct {
	t       *testing.T
	o       *oracle
	m       *machine
	w       wire
	g       *differGen
	length  int        // commands of a batch
	every   int        // batches behind each of which the whole keyspace is looked at
	began   int64      // clock at the beginning of the commands that are compared
	history [][]string // since the keyspace was empty
	failed  bool
	// unpacked: a SORT has read a sorted set, which Redis unpacks for that, though it is a read.
	unpacked bool

	compared, looked int // commands, and reads of the whole keyspace, whose replies were equal
}

const (
	shortTTL      = 300 // ms, of what is to pass during a round
	batchTime     = 250 // ms that a batch with short deadlines and the inspection behind it may take together
	differBatches = 12  // of a round
)

func newDiffer(t *testing.T, o *oracle, proto string, seed int64) *differ {
	d := &differ{t: t, o: o, m: newMachine(t), g: newDifferGen(seed), length: 40, every: 1}
	d.w.resp3 = proto == "3"
	return d
}

// TestDiffer compares every registered command with redis-server, in RESP2 and RESP3: replies, and at the end the whole
// keyspace. The log of each round is replayed on a follower, too.
func TestDiffer(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		o := startOracle(t, proto)
		slow := 0
		for seed := *differFrom; seed < *differFrom+*differRounds; seed++ {
			if d := newDiffer(t, o, proto, seed); !d.round() && !d.failed {
				slow++
			}
		}
		require.LessOrEqual(t, slow, int(*differRounds)/2+1, "rounds in which a batch was too slow to compare deadlines")
	}
}

// TestDifferFresh does the same with other seeds every time, in longer batches, for as long as it is told.
func TestDifferFresh(t *testing.T) {
	oracles := map[string]*oracle{"2": startOracle(t, "2"), "3": startOracle(t, "3")}
	began := time.Now()
	first := *differFrom
	if first == 0 {
		first = began.UnixNano() / 1000
	}
	seed, compared, looked, slow, failed := first, 0, 0, 0, 0
	for ; time.Since(began) < *differFor && failed < 5; seed++ {
		proto := []string{"2", "3"}[seed%2]
		d := newDiffer(t, oracles[proto], proto, seed)
		d.length, d.every = 120, differBatches/2
		d.g.brief = seed%16 < 2 // such rounds wait most of the time
		switch {
		case d.round():
		case d.failed:
			failed++
		default:
			slow++
		}
		compared, looked = compared+d.compared, looked+d.looked
	}
	t.Logf("%d commands compared, and %d reads of the whole keyspace; seeds %d to %d, %d of them left unfinished because a batch was too slow",
		compared, looked, first, seed-1, slow)
	require.Positive(t, compared)
}

// round plays one seed. It returns false if the machine was too slow to compare on.
func (d *differ) round() bool {
	d.o.do(d.t, []string{"FLUSHALL"}, []string{"SELECT", "0"})
	cmds := d.g.large()
	for i := range differBatches {
		cmds = append(cmds, d.g.refill()...)
		d.began = d.clock()
		d.g.now = d.began
		for range d.length {
			cmds = append(cmds, d.g.commands()...)
			if rolls(cmds[len(cmds)-1]) {
				break
			}
		}
		if !d.batch(cmds) {
			return false
		}
		d.compared, cmds = d.compared+len(cmds), nil
		if i%d.every == d.every-1 && !d.look(i == differBatches-1) {
			return false
		}
		if d.g.short {
			d.g.short = false
			d.waitOut()
		}
	}
	require.NoError(d.t, d.m.s.Check())
	require.Equal(d.t, stateHash(d.m.s), stateHash(d.m.replay()))
	return true
}

// look compares the whole keyspace, in the end the payloads of all keys, too.
func (d *differ) look(dumps bool) bool {
	before, cmds := len(d.history), d.g.inspection()
	if dumps {
		cmds = append(cmds, d.g.dumpAll()...)
	}
	if !d.batch(cmds) {
		return false
	}
	d.history, d.looked = d.history[:before], d.looked+len(cmds)
	return true
}

// rolls says that a command takes members by dice, which fall differently on both sides: no other command may be on its way.
func rolls(cmd []string) bool { return strings.EqualFold(cmd[0], "spop") }

func (d *differ) clock() int64 {
	f := strings.Split(d.o.do(d.t, []string{"TIME"})[0], "\r\n")
	sec, err := strconv.ParseInt(f[2], 10, 64)
	require.NoError(d.t, err)
	usec, err := strconv.ParseInt(f[4], 10, 64)
	require.NoError(d.t, err)
	return sec*1000 + usec/1000
}

// waitOut lets every short deadline pass on both sides and has the keys deleted.
func (d *differ) waitOut() {
	until := d.clock() + shortTTL + 10
	require.Eventually(d.t, func() bool { return d.clock() > until }, 10*time.Second, 20*time.Millisecond)
	d.m.now = d.clock()
	var cmds [][]string
	for db := range differDBs {
		cmds = append(cmds, []string{"SELECT", strconv.Itoa(db)}, append([]string{"EXISTS"}, d.g.all...))
	}
	cmds = append(cmds, []string{"SELECT", strconv.Itoa(d.m.db)})
	d.o.do(d.t, cmds...)
	d.m.sweep(1000)
}

// ours executes a command here, with the reply in the protocol of the round.
func (d *differ) ours(cmd []string) string {
	if strings.EqualFold(cmd[0], "select") {
		d.m.db, _ = strconv.Atoi(cmd[1])
		return "+OK\r\n"
	}
	return d.m.doOut(&d.w, cmd...)
}

// batch compares commands, of which at most the last one rolls dice. It returns false if a reply differs, or if it took too long.
func (d *differ) batch(cmds [][]string) bool {
	d.m.now = d.clock()
	want := d.o.do(d.t, cmds...)
	ok := d.clock()-d.m.now < d.slack()/2
	if d.g.brief {
		ok = d.clock()-d.began < batchTime
	}
	for i, cmd := range cmds {
		d.history = append(d.history, cmd)
		got, same := d.step(cmd, want[i])
		if !ok {
			return false
		}
		if !same {
			d.failed = true
			d.report(cmd, want[i], got)
			return false
		}
	}
	return true
}

// step executes a command here and compares the reply.
func (d *differ) step(cmd []string, want string) (got string, same bool) {
	raw := d.ours(cmd)
	got, err := readReply(bufio.NewReader(strings.NewReader(raw)), unordered(cmd[0]))
	require.NoError(d.t, err, "%q: %q", cmd, raw)
	if !d.same(cmd, want, got) {
		return got, false
	}
	if strings.EqualFold(cmd[0], "dump") && !isStream(want) && got[0] == '$' && got != "$-1\r\n" {
		d.g.dumps = append(d.g.dumps, bulkBody(want), bulkBody(got))
	}
	switch name := strings.ToLower(cmd[0]); {
	case rolls(cmd) && got[0] != '-':
		d.syncSet(cmd[1])
	case name == "sort" || name == "sort_ro":
		d.unpacked = d.unpacked || len(cmd) > 1 && d.m.do("TYPE", cmd[1]) == "+zset\r\n"
	}
	return got, true
}

// play runs commands on an empty keyspace and returns the position of the first one whose reply differs, -1 = none does.
func (d *differ) play(cmds [][]string) int {
	d.o.do(d.t, []string{"FLUSHALL"}, []string{"SELECT", "0"})
	p := &differ{t: d.t, o: d.o, m: newMachine(d.t), g: &differGen{}}
	p.w.resp3 = d.w.resp3
	for from := 0; from < len(cmds); {
		to := from + 1
		for to < len(cmds) && !rolls(cmds[to-1]) {
			to++
		}
		p.m.now = p.clock()
		for i, want := range p.o.do(p.t, cmds[from:to]...) {
			if _, same := p.step(cmds[from+i], want); !same {
				return from + i
			}
		}
		from = to
	}
	return -1
}

// shrink leaves out commands as long as a reply differs. What needs the time that passed between commands stays whole.
func (d *differ) shrink() [][]string {
	cmds := d.history
	at := d.play(cmds)
	if at < 0 {
		return cmds
	}
	cmds = cmds[:at+1]
	until := time.Now().Add(time.Minute)
	for size := len(cmds) / 2; size > 0; size /= 2 {
		for from := 0; from+size < len(cmds) && time.Now().Before(until); {
			rest := slices.Concat(cmds[:from], cmds[from+size:])
			if at := d.play(rest); at >= 0 {
				cmds = rest[:at+1]
			} else {
				from += size
			}
		}
	}
	return cmds
}

func (d *differ) report(cmd []string, want, got string) {
	d.t.Logf("seed %d, RESP3 %v, %q: want %.100q got %.100q", d.g.seed, d.w.resp3, cmd, want, got)
	var script strings.Builder
	for _, c := range d.shrink() {
		fmt.Fprintf(&script, "%.300q\n", c)
	}
	d.t.Errorf("seed %d, RESP3 %v, %q\nwant %.300q\n got %.300q\nof these, the last one differs, or is the one above, which needed its time:\n%s",
		d.g.seed, d.w.resp3, cmd, want, got, script.String())
}

// syncSet makes the set here equal to the one of redis-server, whose dice fell differently.
func (d *differ) syncSet(key string) {
	theirs := bulkTexts(d.o.do(d.t, []string{"SMEMBERS", key})[0])
	mine := bulkTexts(d.ours([]string{"SMEMBERS", key}))
	require.Len(d.t, mine, len(theirs))
	for _, m := range theirs {
		if !slices.Contains(mine, m) {
			d.ours([]string{"SADD", key, m})
		}
	}
	for _, m := range mine {
		if !slices.Contains(theirs, m) {
			d.ours([]string{"SREM", key, m})
		}
	}
}

// bulkTexts takes the bulk strings out of a reply.
func bulkTexts(reply string) (list []string) {
	r := bufio.NewReader(strings.NewReader(reply))
	line, _ := r.ReadString('\n')
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	for range n {
		v, _ := readReply(r, false)
		_, v, _ = strings.Cut(v, "\r\n")
		list = append(list, v[:len(v)-2])
	}
	return list
}

// same compares two replies by what the command promises.
func (d *differ) same(cmd []string, want, got string) bool {
	if want == got {
		return true
	}
	name := strings.ToLower(cmd[0])
	if strings.HasPrefix(name, "x") {
		const arity = "-ERR wrong number" // the name of the container is missing here
		return timelessReply(cmd, want, d.w.resp3) == timelessReply(cmd, got, d.w.resp3) ||
			strings.HasPrefix(want, arity) && strings.HasPrefix(got, arity)
	}
	if strings.HasPrefix(name, "z") && unsigned.Replace(want) == unsigned.Replace(got) {
		return true
	}
	if want[0] == '-' || got[0] == '-' {
		// Redis looks whether a weight is too large, and may see what an earlier command has left in errno.
		return strings.HasPrefix(name, "sort") && want == "-"+errSortScore+"\r\n" && got[0] == '*'
	}
	switch name {
	case "dump": // what Redis orders by chance stands in another order; those of streams hold times, see TestOracleDumpStream
		return isStream(want) && isStream(got) || sortedPayload(d.t, want) == sortedPayload(d.t, got)
	case "keys":
		return sortedReply(want) == sortedReply(got)
	case "sort", "sort_ro": // without sorting a set has no order
		nosort := slices.ContainsFunc(cmd, func(a string) bool { return strings.EqualFold(a, "by") })
		return nosort && d.m.do("TYPE", cmd[1]) == "+set\r\n" && want[:2] == got[:2]
	case "scan", "sscan", "hscan", "zscan":
		at := 2
		if strings.EqualFold(cmd[0], "scan") {
			at = 1
		}
		const whole = "*2\r\n$1\r\n0\r\n"
		if cmd[at] != "0" || !strings.HasPrefix(want, whole) || !strings.HasPrefix(got, whole) {
			return shape(want)[:3] == shape(got)[:3]
		}
		return sortedReply(want[len(whole):]) == sortedReply(got[len(whole):])
	case "object": // packed sets and lists came with Redis 7.2
		if want == ":1\r\n" && got == fmt.Sprintf(":%d\r\n", int64(sharedCount)) { // a number that COPY has made is not shared there
			return true
		}
		if d.unpacked && want == bulkReply("skiplist") && got == bulkReply("listpack") {
			return true
		}
		return d.m.do("TYPE", cmd[2]) == "+set\r\n" && got == bulkReply("listpack") || want == bulkReply("quicklist") && got == bulkReply("listpack")
	case "ttl", "expiretime":
		return near(want, got, d.slack()/1000+1)
	case "pttl", "pexpiretime":
		return near(want, got, d.slack())
	case "spop", "srandmember", "hrandfield", "zrandmember", "randomkey":
		return shape(want) == shape(got)
	case "dbsize":
		return true // due keys count until somebody touches them
	}
	return false
}

// unsigned takes the sign from zeros: Redis loses it when it packs a sorted set, here it is always lost.
var unsigned = strings.NewReplacer("$2\r\n-0\r\n", "$1\r\n0\r\n", ",-0\r\n", ",0\r\n")

// slack is by how many ms deadlines may differ: they begin at the clock here and there.
func (d *differ) slack() int64 {
	if d.g.brief {
		return batchTime
	}
	return 10_000
}

// isStream says that the reply is a payload of a stream.
func isStream(reply string) bool {
	r, err := rdb.Open([]byte(bulkBody(reply)))
	return err == nil && r.Kind() == rdb.Stream
}

// sortedPayload prints the elements of a payload in a reply.
func sortedPayload(t *testing.T, reply string) string {
	r, err := rdb.Open([]byte(bulkBody(reply)))
	if err != nil {
		return reply
	}
	var all []string
	for r.Next() {
		if r.Kind() == rdb.SortedSet {
			r.Val = nil // the score, where it stands as a text
		}
		all = append(all, fmt.Sprintf("%q %q %v", r.Key, r.Val, r.Score+0)) // the sign of a zero: see unsigned
	}
	require.NoError(t, r.Err())
	if r.Kind() != rdb.List {
		slices.Sort(all)
	}
	return strings.Join(all, "\n")
}

func near(want, got string, by int64) bool {
	a, errA := strconv.ParseInt(strings.Trim(want, ":\r\n"), 10, 64)
	b, errB := strconv.ParseInt(strings.Trim(got, ":\r\n"), 10, 64)
	return errA == nil && errB == nil && a >= 0 && b >= 0 && a-b <= by && b-a <= by
}

func sortedReply(reply string) string {
	s, _ := readReply(bufio.NewReader(strings.NewReader(reply)), true)
	return s
}

// shape is a reply without the contents of its strings and numbers.
func shape(reply string) string {
	var b strings.Builder
	r := bufio.NewReader(strings.NewReader(reply))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return b.String()
		}
		switch {
		case line[0] == '$' && line != "$-1\r\n":
			n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
			_, _ = r.Discard(n + 2)
			b.WriteString("$ ")
		case line[0] == '*' || line[0] == '~' || line[0] == '%' || line[0] == '-' || line[0] == '$':
			b.WriteString(line)
		default:
			b.WriteString(line[:1])
		}
	}
}
