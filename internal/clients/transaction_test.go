//go:build clients

package clients

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

const (
	accounts = 8
	deposit  = 100
	tellers  = 6
)

// go-redis wants all keys of a transaction in one slot.
func account(i int) string { return fmt.Sprintf("{bank}:%d", i) }

var errPoor = errors.New("not enough there")

// transfer moves an amount between two accounts, if none of them changes meanwhile.
func transfer(ctx context.Context, rdb *redis.ClusterClient, from, to string, amount int) error {
	return rdb.Watch(ctx, func(tx *redis.Tx) error {
		have, err := tx.Get(ctx, from).Int()
		if err != nil {
			return err
		}
		had, err := tx.Get(ctx, to).Int()
		if err != nil {
			return err
		}
		if have < amount {
			return errPoor
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, from, have-amount, 0)
			p.Set(ctx, to, had+amount, 0)
			p.Incr(ctx, "{bank}:transfers")
			return nil
		})
		return err
	}, from, to)
}

// TestTransfers moves amounts between accounts with WATCH, MULTI and EXEC while leaders are killed. Whatever a client is
// told, a transfer is executed whole or not at all, and never on values that were not current: the sum stays, also to a
// client that reads all accounts in one transaction.
func TestTransfers(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cl.Addrs(), ClusterStateReloadInterval: time.Second})
	t.Cleanup(func() { _ = rdb.Close() })
	for i := range accounts {
		require.NoError(t, rdb.Set(within(t), account(i), deposit, 0).Err())
	}
	var acked, conflicts, audits atomic.Int64
	stop, wrong := make(chan struct{}), make(chan string, tellers+1)
	var wg sync.WaitGroup
	for w := range tellers {
		wg.Go(func() {
			rnd := rand.New(rand.NewSource(int64(w)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), callLimit)
				from := rnd.Intn(accounts)
				err := transfer(ctx, rdb, account(from), account((from+1+rnd.Intn(accounts-1))%accounts), 1+rnd.Intn(deposit/2))
				cancel()
				switch {
				case err == nil:
					acked.Add(1)
				case errors.Is(err, redis.TxFailedErr):
					conflicts.Add(1)
				case !errors.Is(err, errPoor):
					select {
					case <-stop:
					case <-time.After(retryPause):
					}
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(retryPause):
			}
			ctx, cancel := context.WithTimeout(context.Background(), callLimit)
			sum, err := audit(ctx, rdb)
			cancel()
			if err == nil {
				audits.Add(1)
				if sum != accounts*deposit {
					wrong <- fmt.Sprintf("a transaction saw the sum %d", sum)
					return
				}
			}
		}
	})
	flows := func(what string) {
		t.Helper()
		from, seen := acked.Load(), audits.Load()
		require.NoError(t, cluster.Until(flowLimit, what, func() error {
			if n := acked.Load() - from; n < 50 || audits.Load() == seen {
				return fmt.Errorf("%d transfers", n)
			}
			return nil
		}))
	}
	flows("transfers")
	for range 2 {
		lead := cl.Leader()
		cl.Kill(lead)
		flows("transfers without node " + strconv.Itoa(lead))
		cl.Start(lead)
		cl.WaitReady()
	}
	close(stop)
	wg.Wait()
	select {
	case what := <-wrong:
		require.Fail(t, what)
	default:
	}
	sum, err := audit(within(t), rdb)
	require.NoError(t, err)
	require.Equal(t, accounts*deposit, sum)
	n, err := rdb.Get(within(t), "{bank}:transfers").Int64()
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, acked.Load())
	t.Logf("%d transfers acknowledged, %d executed; %d conflicts, %d audits", acked.Load(), n, conflicts.Load(), audits.Load())
}

// audit sums up all accounts as of one moment.
func audit(ctx context.Context, rdb *redis.ClusterClient) (sum int, err error) {
	var values []*redis.StringCmd
	_, err = rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for i := range accounts {
			values = append(values, p.Get(ctx, account(i)))
		}
		return nil
	})
	for _, v := range values {
		n, verr := v.Int()
		err = errors.Join(err, verr)
		sum += n
	}
	return sum, err
}
