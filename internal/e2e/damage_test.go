package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// journal returns the newest segment of a node's log and where each of its records begins; every record is framed by
// the uvarint of its length.
func journal(t *testing.T, c *cluster.Cluster, i int) (name string, data []byte, records []int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(c.DataDir(i), "log", strings.Repeat("[0-9]", 20)))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	slices.Sort(names)
	name = names[len(names)-1]
	data, err = os.ReadFile(name)
	require.NoError(t, err)
	for off := 0; off < len(data); {
		size, n := binary.Uvarint(data[off:])
		require.Positive(t, n)
		records = append(records, off)
		off += n + int(size)
		require.LessOrEqual(t, off, len(data))
	}
	return name, data, records
}

// lastBatch returns where the last batch begins: at the last record that is the first of its batch. A record is
// crc u32, seq u64, position in the batch u32 and so on behind its length.
func lastBatch(t *testing.T, data []byte, records []int) int {
	t.Helper()
	for i := len(records) - 1; i >= 0; i-- {
		_, n := binary.Uvarint(data[records[i]:])
		if binary.LittleEndian.Uint32(data[records[i]+n+12:]) == 0 {
			return records[i]
		}
	}
	t.Fatal("no record begins a batch")
	return 0
}

func fill(t *testing.T, c *cluster.Cluster, from, to int) {
	t.Helper()
	cl := c.Client(c.Leader())
	for n := from; n < to; n++ {
		require.NoError(t, cl.Set(context.Background(), "k"+strconv.Itoa(n), strings.Repeat("v", 20+n%50), 0).Err())
	}
}

// Acceptance 6, first part. The bytes that are cut off had been acknowledged to the leader, which goes on leading.
func TestLogCutInItsLastBatch(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	fill(t, c, 0, 30)
	victim := c.Follower()
	for n, cut := range []func(batch, size int) int{
		func(batch, _ int) int { return batch }, // the whole batch
		func(batch, _ int) int { return batch + 1 },
		func(batch, size int) int { return (batch + size) / 2 },
		func(_, size int) int { return size - 1 },
	} {
		c.SameState()
		c.Kill(victim)
		name, data, records := journal(t, c, victim)
		at := cut(lastBatch(t, data, records), len(data))
		require.Less(t, at, len(data))
		require.NoError(t, os.Truncate(name, int64(at)))
		c.Start(victim)
		c.WaitReady()
		c.SameState() // also without another write
		fill(t, c, 100*n, 100*n+10)
		index, _ := c.SameState()
		t.Logf("cut %d of %d bytes, caught up to index %d", len(data)-at, len(data), index)
	}
	require.Contains(t, c.LogTail(victim, 1000), "cut a torn write")
}

// Acceptance 6, second part.
func TestFlippedByteRefusesToStart(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	fill(t, c, 0, 30)
	victim := c.Follower()
	c.SameState()
	c.Kill(victim)
	name, data, records := journal(t, c, victim)
	end := lastBatch(t, data, records)
	for _, i := range []int{0, 1, len(records) / 2, slices.Index(records, end) - 1} {
		for _, off := range []int{1, 10, 20} {
			broken := slices.Clone(data)
			broken[records[i]+off] ^= 0x40
			require.NoError(t, os.WriteFile(name, broken, 0o640))
			begin := len(c.LogTail(victim, 1<<20))
			c.Start(victim)
			require.Equal(t, 1, c.WaitExit(victim))
			said := c.LogTail(victim, 1<<20)[begin:]
			require.Contains(t, said, fmt.Sprintf("damaged file %s at byte %d, record %d", name, records[i], i+1))
			after, err := os.ReadFile(name)
			require.NoError(t, err)
			require.Equal(t, broken, after, "evidence must stay")
		}
	}
	require.NoError(t, os.WriteFile(name, data, 0o640))
	c.Start(victim)
	c.WaitReady()
	c.SameState()
}

// Acceptance 6, third part.
func TestWipedDirectoryIsNoVoter(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	fill(t, c, 0, 10)
	victim := c.Follower()
	c.Kill(victim)
	require.NoError(t, os.RemoveAll(c.DataDir(victim)))
	c.Start(victim)
	require.Equal(t, 1, c.WaitExit(victim))
	require.Contains(t, c.LogTail(victim, 5), "has been wiped or replaced")
	counted := uint64(0)
	for i := range c.Pids() {
		st, err := c.Status(i)
		require.NoError(t, err)
		counted += uint64(st["refused"].(map[any]any)["old_incarnation"].(int64))
	}
	require.Positive(t, counted)
	// Again: what the first attempt has put there is no log either.
	c.Start(victim)
	require.Equal(t, 1, c.WaitExit(victim))
	require.Contains(t, c.LogTail(victim, 5), "has been wiped or replaced")
	// Nor does it become a voter when only one other node is left to ask.
	other := c.Followers()[0]
	c.Kill(other)
	c.Start(victim)
	require.Equal(t, 1, c.WaitExit(victim))
	require.Contains(t, c.LogTail(victim, 5), "has been wiped or replaced")
	c.Start(other)
	c.WaitReady()
	fill(t, c, 10, 20)
	c.SameState()
}

// With nobody there who remembers it, a node with an empty directory waits and serves nothing.
func TestEmptyDirectoryAloneServesNothing(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	fill(t, c, 0, 10)
	c.KillAll()
	require.NoError(t, os.RemoveAll(c.DataDir(1)))
	c.Start(1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, cluster.Until(10*time.Second, "it says why it waits", func() error {
		if err := c.Client(1).Get(ctx, "k1").Err(); err == nil || !strings.HasPrefix(err.Error(), "LOADING ") {
			return fmt.Errorf("GET: %w", err)
		}
		if !strings.Contains(c.LogTail(1, 5), "first_start waiting_for=") {
			return fmt.Errorf("no word of it")
		}
		return nil
	}))
	c.StartAll()
	require.Equal(t, 1, c.WaitExit(1))
	require.Contains(t, c.LogTail(1, 5), "has been wiped or replaced")
	v, err := c.Client(c.Leader()).Get(ctx, "k1").Result()
	require.NoError(t, err)
	require.Len(t, v, 21)
}

func TestDirectoryOfAnotherNodeIsRefused(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	fill(t, c, 0, 10)
	victim, other := c.Followers()[0], c.Followers()[1]
	c.Kill(victim)
	c.Kill(other)
	a, b, aside := c.DataDir(victim), c.DataDir(other), c.DataDir(victim)+"-aside"
	require.NoError(t, os.Rename(a, aside))
	require.NoError(t, os.Rename(b, a))
	c.Start(victim)
	require.Equal(t, 1, c.WaitExit(victim))
	said := c.LogTail(victim, 5)
	require.Contains(t, said, a+" belongs to")
	require.Contains(t, said, c.Name(other))
	require.Contains(t, said, c.Name(victim))
	require.NoError(t, os.Rename(a, b))
	require.NoError(t, os.Rename(aside, a))
	c.StartAll()
	c.WaitReady()
	c.SameState()
}

func TestSecondProcessOnTheSameDirectoryIsRefused(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	fill(t, c, 0, 10)
	i := c.Follower()
	ports := cluster.Ports(t, 2)
	for _, x := range []struct {
		args []string
		want string
	}{
		{c.CommandLine(i), "address already in use"},
		{c.CommandLine(i, "--port", strconv.Itoa(ports[0]), "--cluster",
			fmt.Sprintf("%s=127.0.0.1:%d@%d", c.Name(i), ports[0], ports[1])), "in use by another process"},
	} {
		out, err := cluster.Command(t, x.args...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), x.want)
	}
	fill(t, c, 10, 20)
	c.SameState()
}
