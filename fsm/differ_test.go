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
	differFrom   = flag.Int64("differ.from", 0, "first seed of the random comparison with redis-server")
	differRounds = flag.Int64("differ.rounds", 12, "how many seeds it tries")
)

// differ runs the same random commands on a live redis-server and on a machine. Deadlines really pass: a batch is much
// shorter than the shortest time to live in it, and behind a batch that set a short one both sides wait it out.
type differ struct {
	t       *testing.T
	o       *oracle
	m       *machine
	w       wire
	g       *differGen
	began   int64 // clock at the beginning of the commands that are compared
	history []string
	failed  bool
}

const (
	shortTTL    = 300 // ms, of what is to pass during a round
	batchTime   = 250 // ms that a batch and the inspection behind it may take together
	differBatch = 40
)

// TestDiffer compares every registered command with redis-server, in RESP2 and RESP3: replies, and at the end the whole
// keyspace. The log of each round is replayed on a follower, too.
func TestDiffer(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		o := startOracle(t, proto)
		slow := 0
		for seed := *differFrom; seed < *differFrom+*differRounds; seed++ {
			d := &differ{t: t, o: o, m: newMachine(t), g: newDifferGen(seed)}
			d.w.resp3 = proto == "3"
			if !d.round() && !d.failed {
				slow++
			}
		}
		require.LessOrEqual(t, slow, int(*differRounds)/2+1, "rounds in which a batch was too slow to compare deadlines")
	}
}

// round plays one seed. It returns false if the machine was too slow to compare on.
func (d *differ) round() bool {
	d.o.do(d.t, []string{"FLUSHALL"}, []string{"SELECT", "0"})
	large := d.g.large()
	for range 12 {
		cmds := append(large, d.g.refill()...)
		large = nil
		d.began = d.clock()
		d.g.now = d.began
		for range differBatch {
			cmds = append(cmds, d.g.command())
			if strings.EqualFold(cmds[len(cmds)-1][0], "spop") {
				break
			}
		}
		if !d.batch(cmds) {
			return false
		}
		before := len(d.history)
		if !d.batch(d.g.inspection()) {
			return false
		}
		d.history = d.history[:before]
		if d.g.short {
			d.g.short = false
			d.waitOut()
		}
	}
	require.NoError(d.t, d.m.s.Check())
	require.Equal(d.t, stateHash(d.m.s), stateHash(d.m.replay()))
	return true
}

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
	until := d.m.now + shortTTL + 10
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

func (d *differ) batch(cmds [][]string) bool {
	d.m.now = d.clock()
	want := d.o.do(d.t, cmds...)
	ok := d.clock()-d.began < batchTime
	for i, cmd := range cmds {
		d.history = append(d.history, fmt.Sprintf("%q", cmd))
		raw := d.ours(cmd)
		got, err := readReply(bufio.NewReader(strings.NewReader(raw)), unordered(cmd[0]))
		require.NoError(d.t, err, "%q: %q", cmd, raw)
		if !ok {
			return false
		}
		if !d.same(cmd, want[i], got) {
			d.t.Errorf("seed %d resp3 %v %q: want %.300q got %.300q behind\n%s", d.g.seed, d.w.resp3, cmd, want[i], got, strings.Join(d.history, "\n"))
			d.failed = true
			return false
		}
		if strings.EqualFold(cmd[0], "dump") && got[0] == '$' && got != "$-1\r\n" {
			d.g.dumps = append(d.g.dumps, bulkBody(want[i]), bulkBody(got))
		}
		if strings.EqualFold(cmd[0], "spop") && got[0] != '-' {
			d.syncSet(cmd[1])
		}
	}
	return true
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
	if want[0] == '-' || got[0] == '-' {
		return false
	}
	switch strings.ToLower(cmd[0]) {
	case "dump": // what Redis orders by chance stands in another order
		return sortedPayload(d.t, want) == sortedPayload(d.t, got)
	case "keys":
		return sortedReply(want) == sortedReply(got)
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
		return d.m.do("TYPE", cmd[2]) == "+set\r\n" && got == bulkReply("listpack") || want == bulkReply("quicklist") && got == bulkReply("listpack")
	case "ttl", "expiretime":
		return near(want, got, 1)
	case "pttl", "pexpiretime":
		return near(want, got, batchTime)
	case "spop", "srandmember", "hrandfield", "zrandmember", "randomkey":
		return shape(want) == shape(got)
	case "dbsize":
		return true // due keys count until somebody touches them
	}
	return false
}

// sortedPayload prints the elements of a payload in a reply.
func sortedPayload(t *testing.T, reply string) string {
	r, err := rdb.Open([]byte(bulkBody(reply)))
	if err != nil || r.Kind() == rdb.Stream { // streams have one order
		return reply
	}
	var all []string
	for r.Next() {
		all = append(all, fmt.Sprintf("%q %q %v", r.Key, r.Val, r.Score))
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
