package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/race"
	"pgregory.net/rapid"
)

// The program starts itself to measure, and so does its test.
func TestMain(m *testing.M) {
	if isChild(os.Args[1:]) {
		if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// tinyKeys is enough for most figures to rise above the noise of a process' memory.
const tinyKeys = 20_000

var tableRow = regexp.MustCompile(`^\| (.+) \| ([^|]+) \| ([^ |]+) \| ([^|]+) \| (ok|missed|not compared|no target|too few keys) \|$`)

// requireTable checks that a run printed every row of the measurements that only leaves, with figures.
func requireTable(t *testing.T, text string, only *regexp.Regexp, withRedis bool) {
	t.Helper()
	_, table, ok := strings.Cut(text, tableHead)
	require.True(t, ok, text)
	lines := strings.Split(strings.TrimSpace(table), "\n")
	at := 0
	for _, b := range benches(params{keys: tinyKeys, change: tinyKeys}) {
		if !only.MatchString(b.name) {
			continue
		}
		for _, r := range b.rows {
			require.Less(t, at, len(lines), "%s of %s is missing", r.key, b.name)
			line := lines[at]
			m := tableRow.FindStringSubmatch(line)
			require.NotNil(t, m, line)
			require.Equal(t, r.title, m[1])
			require.Equal(t, r.goal.String(), m[2])
			at++
			if m[5] == tooFew {
				require.Contains(t, r.title, "resident bytes", "only memory is a difference")
				continue
			}
			requirePositive(t, m[3])
			switch {
			case !withRedis || b.redis == nil || r.key == "cpu": // redis-server has one figure for both
				require.Equal(t, "-", m[4], line)
			default:
				requirePositive(t, strings.Fields(m[4])[0])
				require.NotEqual(t, open, m[5])
			}
		}
	}
	require.Len(t, lines, at)
}

func requirePositive(t *testing.T, text string) {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	require.Positive(t, v)
}

// The whole run, without redis-server: every row is there, and nothing is left behind. How fast it was is no matter.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "table.md")
	var out, progress bytes.Buffer
	only := ""
	if race.Enabled {
		only = "^(gc|snapshot/strings)$" // a child for each measurement
	}
	args := []string{"-keys", strconv.Itoa(tinyKeys), "-redis=false", "-only", only, "-dir", dir, "-o", file}
	require.NoError(t, run(t.Context(), args, &out, &progress))
	requireTable(t, out.String(), regexp.MustCompile(only), false)
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, out.String(), string(written))
	require.Regexp(t, `- Machine: .+, \d+ cores, .+\n- go\S+, GOGC .+ redis-server: not measured\n- \d{4}-.+, -keys 20000\n`, out.String())
	require.Regexp(t, `\d+ of \d+ rows miss their target`, progress.String())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOptions(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 5_000_000, o.keys)
	require.Equal(t, 5_000_000, o.change)
	require.Equal(t, 1_000_000, o.elements())
	require.True(t, o.redis)
	o, err = parseOptions([]string{"-full", "-only", "^gc$", "-keys", "1000"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 20_000_000, o.change)
	require.True(t, o.only.MatchString("gc"))
	for _, args := range [][]string{{"-keys", "999"}, {"x"}, {"-only", "("}, {"-x"}} {
		_, err := parseOptions(args, io.Discard)
		require.Error(t, err, args)
	}
	_, err = parseOptions([]string{"-h"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	run := func(args ...string) error { return run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}) }
	dir := t.TempDir()
	require.NoError(t, run("-h"))
	require.ErrorContains(t, run("-redis=false", "-dir", dir, "-only", "nothing"), "no measurement is called nothing")
	require.ErrorContains(t, run(childWord, "gc"), "not for people")
	require.ErrorContains(t, run(childWord, "gc", "x", "1000", "1000", dir), "invalid syntax")
	require.ErrorContains(t, run(childWord, "gc", "1", "1000", "1000", dir), `no step 1 of "gc"`)
	require.ErrorContains(t, run(childWord, "nothing", "0", "1000", "1000", dir), `no step 0 of "nothing"`)
	t.Setenv("PATH", dir)
	require.ErrorContains(t, run("-dir", dir), "apt-get install redis-server")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := runChild(ctx, &bench{name: "gc"}, 0, params{keys: minKeys, dir: dir})
	require.ErrorIs(t, err, context.Canceled)
}

// A child that fails says why, and the run ends.
func TestChildFails(t *testing.T) {
	b := bench{name: "snapshot/strings"}
	_, err := runChild(t.Context(), &b, 1, params{keys: minKeys, change: minKeys, dir: t.TempDir()})
	require.ErrorContains(t, err, "exit status 1: no snapshot to load")
}

func TestNamesOfMeasurementsAndRows(t *testing.T) {
	names := make(map[string]bool)
	for _, b := range benches(params{keys: 5_000_000, change: 20_000_000}) {
		require.False(t, names[b.name], b.name)
		names[b.name] = true
		require.NotEmpty(t, b.steps, b.name)
		for _, r := range b.rows {
			require.False(t, names[r.title], r.title)
			names[r.title] = true
			require.NotContains(t, r.title, "|")
		}
	}
	require.True(t, names["DEL of one sorted set of 1M, or the worst write soon behind it: ms of CPU"])
	require.True(t, names["hashes of 10: resident bytes per element"])
}

func TestVerdict(t *testing.T) {
	less, more := goal{limit: 110, rival: true}, goal{limit: 2, more: true, rival: true}
	require.Equal(t, "<= 110, <= redis", less.String())
	require.Equal(t, ">= 2, >= redis", more.String())
	for _, c := range []struct {
		goal         goal
		kvapp, redis float64
		want         string
	}{
		{less, 110, 110, reached}, {less, 111, 180, missed}, {less, 100, 99, missed},
		{less, 100, 0, open}, {less, 111, 0, missed},
		{less, 104.6, 105.4, reached}, {less, 105.4, 104.6, reached}, // both print 105
		{more, 2, 2, reached}, {more, 1.9, 1, missed}, {more, 3, 3.1, missed}, {more, 3, 0, open}, {more, 1, 0, missed},
		{goal{rival: true}, 1, 2, reached}, {goal{rival: true}, 2, 1, missed}, {goal{limit: 5}, 5, 1, reached}, {goal{}, 1, 1, none},
	} {
		require.Equal(t, c.want, c.goal.verdict(c.kvapp, c.redis), "%v %v %v", c.goal, c.kvapp, c.redis)
	}
	r := row{"bytes", "bytes per key", less}
	require.Equal(t, "| bytes per key | <= 110, <= redis | 105 | 183 (used_memory 180) | ok |\n",
		r.line(figures{"bytes": 105.2}, figures{"bytes": 183.4, usedKey("bytes"): 180}))
	require.Equal(t, "| t | <= redis | -18.4 | - | too few keys |\n", row{"k", "t", goal{rival: true}}.line(figures{"k": -18.4}, nil))
	require.Equal(t, tooFew, row{"k", "t", goal{rival: true}}.verdict(figures{"k": 1}, figures{"k": 0}))
	require.Equal(t, "| t | - | 0.0123 | - | no target |\n", row{"k", "t", goal{}}.line(figures{"k": 0.01234}, nil))
	require.Equal(t, []string{"5M", "50k", "1001"}, []string{count(5_000_000), count(50_000), count(1001)})
}

func TestWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, size := rapid.IntRange(0, 1<<31).Draw(t, "n"), rapid.IntRange(1, maxValue).Draw(t, "size")
		var w words
		w.text("old")
		w.reset()
		w.text("set")
		w.name("key", n)
		w.number(n)
		w.value(n, size)
		args := w.args(nil)
		if len(args) != 4 || string(args[0]) != "set" || string(args[1]) != fmt.Sprintf("key:%012d", n) ||
			string(args[2]) != strconv.Itoa(n) || len(args[3]) != size {
			t.Fatalf("%q", args)
		}
		want := fmt.Sprintf("*4\r\n$3\r\nset\r\n$16\r\n%s\r\n$%d\r\n%d\r\n$%d\r\n%s\r\n", args[1], len(args[2]), n, size, args[3])
		if got := w.resp(nil); string(got) != want {
			t.Fatalf("%q, not %q", got, want)
		}
		if w.payload() != 16+len(args[2])+size {
			t.Fatal(w.payload())
		}
	})
}

// ask executes one command and returns the reply as clients see it.
func ask(t *testing.T, a *applier, args ...string) string {
	t.Helper()
	c, err := command(args...)
	require.NoError(t, err)
	a.begin()
	a.store.Exec(&c, &a.out)
	a.store.End()
	reply := string(a.out.Bytes())
	a.out.Reset()
	require.NoError(t, a.out.err)
	return reply
}

// The data sets hold what their titles say, and writing at random keeps it so.
func TestCollections(t *testing.T) {
	const n = 200
	for _, one := range collections {
		for _, e := range []extent{small, big} {
			c, a := collectionOf(one.name, e), newApplier()
			require.NoError(t, a.fill(c.fill(n)))
			keys, _ := a.store.Keys(0)
			key, elements := "big:"+c.name, ":200\r\n"
			if e == big {
				require.EqualValues(t, 1, keys)
			} else {
				require.EqualValues(t, n/perKey, keys)
				var w words
				c.key(0, &w)
				key, elements = string(w.args(nil)[0]), ":10\r\n"
				require.Len(t, key, nameSize)
			}
			require.Equal(t, elements, ask(t, a, c.size, key), c.name)
			require.NoError(t, a.fill(c.visits(n)))
			_, err := a.run(c.writes(n), 0, 10*n)
			require.NoError(t, err)
			after, _ := a.store.Keys(0)
			require.Equal(t, keys, after)
			require.Equal(t, elements, ask(t, a, c.size, key), c.name)
		}
	}
}

func TestChangeOfSizes(t *testing.T) {
	const n = 1001
	for i, mean := range []int{64, 256} {
		ch := sizeChanges[i]
		testChange(t, ch.scripts(n), n)
		require.InDelta(t, (n-n/2)*(16+mean)+n/4*176, changedPayload(ch, n), n*20)
	}
}

func testChange(t *testing.T, scripts []script, n int) {
	a := newApplier()
	require.NoError(t, a.fill(scripts[0]))
	require.Equal(t, fmt.Sprintf(":%d\r\n", n), ask(t, a, "dbsize"))
	require.NoError(t, a.fill(scripts[1]))
	require.Equal(t, fmt.Sprintf(":%d\r\n", n-n/2), ask(t, a, "dbsize"))
	require.NoError(t, a.fill(scripts[2]))
	require.Equal(t, fmt.Sprintf(":%d\r\n", n-n/2+n/4), ask(t, a, "dbsize"))
}

// An error reply is not measured as if the command had worked.
func TestApplierNoticesErrors(t *testing.T) {
	a := newApplier()
	require.NoError(t, a.fill(fillStrings(10)))
	_, err := a.run(oneKey("incr", 10), 0, 10)
	require.ErrorContains(t, err, "not an integer")
	_, err = a.run(oneKey("nosuch", 10), 0, 10)
	require.ErrorContains(t, err, `no command "nosuch"`)
	_, err = command("nosuch")
	require.ErrorContains(t, err, `no command "nosuch"`)
}

func TestReadReply(t *testing.T) {
	read := func(text string) (reply, error) { return readReply(bufio.NewReader(strings.NewReader(text))) }
	for text, want := range map[string]string{"+OK\r\n": "OK", ":12\r\n": "12", "$5\r\na\r\nbc\r\n": "a\r\nbc", "$-1\r\n": "", "$0\r\n\r\n": ""} {
		got, err := read(text)
		require.NoError(t, err, text)
		require.Equal(t, reply{text: want}, got)
	}
	got, err := read("*3\r\n:1\r\n*1\r\n$1\r\na\r\n*0\r\n")
	require.NoError(t, err)
	require.Equal(t, reply{list: []reply{{text: "1"}, {list: []reply{{text: "a"}}}, {}}}, got)
	for text, want := range map[string]string{
		"-LOADING x\r\n": "answers LOADING x", "!1\r\n": "unexpected reply", "*2\r\n:1\r\n": "EOF", "": "EOF", "$5\r\nabc": "EOF", "\r\n": "empty line", "$x\r\n": "invalid",
	} {
		_, err := read(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestClocks(t *testing.T) {
	rss, err := resident(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, rss, int64(1<<20))
	require.NoError(t, resetPeak())
	peak, err := peakResident()
	require.NoError(t, err)
	require.Greater(t, peak, int64(1<<20))
	_, err = resident(1 << 30)
	require.ErrorContains(t, err, "needs Linux")
	_, err = procField("/proc/self/status", "VmNothing:")
	require.ErrorContains(t, err, "has no VmNothing:")
	before, thread := processCPU(), threadCPU()
	require.Positive(t, before)
	require.Positive(t, thread)
	require.Eventually(t, func() bool { return processCPU() > before }, 20*time.Second, time.Microsecond)
}
