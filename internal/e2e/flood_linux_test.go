package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// Clients flood a leader that has lost its quorum: their own sockets stop them, and the leader's memory stays bounded.
// When the others are back all goes on.
func TestFloodWithoutQuorum(t *testing.T) {
	const (
		clients = 30
		lasts   = 8 * time.Second
		// What one client gets rid of: the sockets' buffers and the run that waits, once per park-timeout.
		mostSent = 32 << 20
		mostMore = 300 << 20 // of the leader's memory: uncommitted entries and their copies, runs and buffers of 30 clients
	)
	c := cluster.Start(t, cluster.Options{})
	lead := c.Leader()
	for _, i := range c.Followers() {
		c.Pause(i)
		defer c.Resume(i)
	}
	pid := c.Pids()[lead]
	before := resident(t, pid)
	value := strings.Repeat("x", 10_000)
	command := []byte(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$5\r\nflood\r\n$%d\r\n%s\r\n", len(value), value))
	batch := bytes.Repeat(command, 50)

	var sent [clients]atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(lasts)
	errs := make(chan error, 2*clients)
	for i := range clients {
		conn, err := net.Dial("tcp", c.Addr(lead))
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(end))
		wg.Go(func() { // it reads what it is told, so that only the flood can stop it
			_, err := io.Copy(io.Discard, conn)
			errs <- err
		})
		wg.Go(func() {
			for {
				n, err := conn.Write(batch)
				sent[i].Add(int64(n))
				if err != nil {
					errs <- err
					return
				}
			}
		})
		defer conn.Close() //nolint:errcheck // it has timed out
	}
	most := 0
	require.NoError(t, cluster.Until(2*lasts, "the flood is over", func() error {
		most = max(most, resident(t, pid)-before)
		if time.Now().Before(end) {
			return errors.New("it goes on")
		}
		return nil
	}))
	wg.Wait()
	for range 2 * clients {
		require.ErrorIs(t, <-errs, os.ErrDeadlineExceeded, "the connection stays open")
	}
	total, largest := int64(0), int64(0)
	for i := range sent {
		total += sent[i].Load()
		largest = max(largest, sent[i].Load())
	}
	t.Logf("%d MiB sent, at most %d MiB by one client; %d MiB more memory", total>>20, largest>>20, most>>20)
	require.Positive(t, total)
	require.Less(t, largest, int64(mostSent))
	if !race.Enabled {
		require.Less(t, most, mostMore)
	}
	for _, i := range []int{1, 2, 3} {
		c.Resume(i)
	}
	c.WaitReady()
	require.NoError(t, c.Client(c.Leader()).Set(t.Context(), "after", "1", 0).Err())
	c.SameState()
}
