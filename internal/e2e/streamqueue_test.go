package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

const (
	jobsKey = "jobs"
	crewKey = "crew" // the consumer group
	// idleLimit is how long a message may be in somebody's hand before others take it: some whose reader lives are, too.
	idleLimit = 200 * time.Millisecond
)

// consumer is a worker of the group. One that dies leaves what it has read, and comes back under another name.
type consumer struct {
	f    *floor
	id   int
	life int
	rand *rand.Rand
	s    *session
}

func (f *floor) consumer(id int) {
	w := &consumer{f: f, id: id, rand: rand.New(rand.NewPCG(2, uint64(id)))}
	w.s = newSession(f.c, 1+id%f.c.Nodes(), workLimit)
	defer func() { w.s.close() }()
	for f.working.Err() == nil {
		switch w.rand.IntN(8) {
		case 0:
			w.work(w.claim())
		case 1:
			w.work(w.read("0")) // what it has read, perhaps without being told
		default:
			w.work(w.read(">"))
		}
	}
}

func (w *consumer) name() string { return fmt.Sprintf("worker %d.%d", w.id, w.life) }

// read reads messages: new ones, for which it waits, or those that are its own already.
func (w *consumer) read(from string) []redis.XMessage {
	args := &redis.XReadGroupArgs{Group: crewKey, Consumer: w.name(), Streams: []string{jobsKey, from}, Count: 2, Block: -1}
	cl, ctx := w.s.client(), context.Background()
	if from == ">" {
		args.Block = time.Duration(10+w.rand.IntN(200)) * time.Millisecond
		if w.rand.IntN(4) == 0 {
			var cancel context.CancelFunc // it hangs up
			ctx, cancel = context.WithTimeout(ctx, time.Duration(1+w.rand.IntN(50))*time.Millisecond)
			defer cancel()
			args.Block = 0
		}
	}
	list, err := cl.XReadGroup(ctx, args).Result()
	w.s.route(err)
	if errors.Is(err, context.DeadlineExceeded) || judge(err) == unknown {
		w.f.add(&w.f.quit)
		return nil
	}
	if !w.f.tell("XREADGROUP", err) || len(list) == 0 {
		return nil
	}
	if from == ">" {
		for _, m := range list[0].Messages {
			w.f.count("given as new", w.f.given, m.ID)
		}
	}
	return list[0].Messages
}

// claim takes over what somebody has had in hand for too long.
func (w *consumer) claim() []redis.XMessage {
	list, _, err := w.s.client().XAutoClaim(context.Background(), &redis.XAutoClaimArgs{
		Stream: jobsKey, Group: crewKey, Consumer: w.name(), MinIdle: idleLimit, Start: "-", Count: 10,
	}).Result()
	w.s.route(err)
	if !w.f.tell("XAUTOCLAIM", err) {
		return nil
	}
	return list
}

// work records messages as done, unless the worker dies.
func (w *consumer) work(list []redis.XMessage) {
	for _, m := range list {
		if w.rand.IntN(10) == 0 {
			w.f.add(&w.f.dropped)
			w.s.close()
			w.s = newSession(w.f.c, 1+w.rand.IntN(w.f.c.Nodes()), workLimit)
			w.life++
			return
		}
		w.finish(m)
	}
}

// finish records a message as done and acknowledges it, unless that has happened: several workers may have the message, and an
// EXEC without an answer may come late. WATCH lets one of them through.
func (w *consumer) finish(m redis.XMessage) {
	item, ok := m.Values["item"].(string)
	if !ok {
		w.f.fail(fmt.Errorf("message %s holds %v", m.ID, m.Values))
		return
	}
	mark, again := "done:"+m.ID, false
	err := w.s.client().Watch(context.Background(), func(tx *redis.Tx) error {
		ctx := context.Background()
		n, err := tx.Exists(ctx, mark).Result()
		if err != nil {
			return err
		}
		if again = n == 1; again {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, mark, w.name(), 0)
			p.RPush(ctx, doneKey, item)
			p.XAck(ctx, jobsKey, crewKey, m.ID)
			return nil
		})
		return err
	}, mark)
	w.s.route(err)
	if w.f.tell("finish", err) && !again {
		w.f.count("finished", w.f.finished, item)
	}
}

// Acceptance 4 of the data model: streams with consumer groups.
func TestStreamQueueWhileLeadersAreKilled(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	ctx := context.Background()
	require.NoError(t, c.Client(c.Leader()).XGroupCreateMkStream(ctx, jobsKey, crewKey, "0").Err())
	f := newFloor(t, c)
	for id := range queueWorkers {
		f.workers.Go(func() { f.consumer(id) })
	}
	for id := range producers {
		f.makers.Go(func() {
			f.produce(id, func(s *session, item string) (any, error) { return s.do("XADD", jobsKey, "*", "item", item) })
		})
	}
	f.run(t, func(s *session) (int64, error) {
		groups, err := s.client().XInfoGroups(ctx, jobsKey).Result()
		s.route(err)
		if err != nil {
			return 0, err
		}
		return groups[0].Pending + groups[0].Lag, nil
	})
	f.verify(t)
	verifyStream(t, c, f)
}

// verifyStream compares the stream, from which nothing was deleted, with what producers and workers were told of it.
func verifyStream(t *testing.T, c *cluster.Cluster, f *floor) {
	t.Helper()
	messages, err := c.Client(c.Leader()).XRange(context.Background(), jobsKey, "-", "+").Result()
	require.NoError(t, err)
	id := map[string]string{}
	ids := map[string]bool{}
	for _, m := range messages {
		item, _ := m.Values["item"].(string)
		require.Empty(t, id[item], "%s was added twice", item)
		id[item], ids[m.ID] = m.ID, true
	}
	for item, told := range f.acked {
		require.Equal(t, told, id[item], "%s stands under another id than its producer was told", item)
	}
	for read := range f.given {
		require.True(t, ids[read] && strings.Contains(read, "-"), "%s was read and is not there", read)
	}
}
