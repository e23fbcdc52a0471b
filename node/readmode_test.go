package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// read reads key a on p in a mode.
func (p *peer) read(mode ReadMode, bound time.Duration) (Outcome, string, *Batch) {
	out := &reply{}
	b := NewBatch(out)
	b.Cmds = append(b.Cmds, command("get", "a"))
	b.Mode, b.MaxStale = mode, int64(bound)
	p.get().Read(b, 0)
	return b.Outcome, out.String(), b
}

// A read that may be stale is served by any node as long as the bound holds, and not a moment longer.
func TestStaleReadsKeepTheirBound(t *testing.T) {
	const bound = 700 * time.Millisecond
	bubble(t, 3, func(c *Config) { c.ParkTimeout = 300e6 }, func(w *world) {
		lead, f := w.leader(), w.followers()[0]
		lead.do(false, command("set", "a", "1"))
		asked := time.Now()
		o, r, _ := f.read(ReadStale, bound) // nothing is known yet: the leader is asked
		require.Equal(t, Done, o)
		require.Equal(t, "1 ", r)

		w.isolate(f.id, true)
		lead.do(false, command("set", "a", "2"))
		served := 0
		for time.Since(asked) < bound-50*time.Millisecond {
			o, r, _ := f.read(ReadStale, bound)
			require.Equal(t, Done, o)
			require.Equal(t, "1 ", r, "the new value cannot be here")
			served++
			<-time.After(20 * time.Millisecond)
		}
		require.Greater(t, served, 10)
		<-time.After(bound - time.Since(asked))
		o, _, _ = f.read(ReadStale, bound)
		require.Equal(t, NoLeader, o, "the bound has passed, and there is nobody to ask")
		o, r, _ = f.read(ReadStale, time.Hour)
		require.Equal(t, Done, o, "who accepts more is still served")
		require.Equal(t, "1 ", r)

		w.isolate(f.id, false)
		w.until("it asks again", func() bool { o, r, _ = f.read(ReadStale, bound); return o == Done })
		require.Equal(t, "2 ", r)
		f.stop()
		f.start()
		w.until("it knows the leader", func() bool { return f.get().View().Leader != 0 })
		lead.do(false, command("set", "a", "3"))
		_, r, _ = f.read(ReadStale, time.Hour)
		require.Equal(t, "3 ", r, "after a restart nothing is known")
	})
}

// The answer that confirms a bound counts from when it was asked for, not from when it came, and only when it is applied.
func TestStaleReadsCountFromTheQuestion(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.ParkTimeout = 5e9 }, func(w *world) {
		lead, f := w.leader(), w.followers()[0]
		lead.do(false, command("set", "a", "1"))
		f.read(ReadStale, time.Hour)
		before := f.get().fresh.Load()
		require.Positive(t, before)
		require.LessOrEqual(t, before, f.get().deps.Clock.Now())
		w.isolate(f.id, true)
		begun := f.get().deps.Clock.Now()
		done := make(chan Outcome, 1)
		go func() {
			o, _, _ := f.read(ReadStale, time.Nanosecond)
			done <- o
		}()
		<-time.After(50 * time.Millisecond)
		require.Equal(t, before, f.get().fresh.Load(), "no answer, no news")
		w.isolate(f.id, false)
		require.Equal(t, Done, <-done)
		require.GreaterOrEqual(t, f.get().fresh.Load(), begun)
		require.LessOrEqual(t, f.get().fresh.Load(), f.get().deps.Clock.Now())
	})
}

// A read that asks for a quorum does not use the lease that others on the same leader use.
func TestQuorumReadBesideTheLease(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.ParkTimeout = 100e6 }, func(w *world) {
		lead, f := w.leader(), w.followers()[0]
		lead.do(false, command("set", "a", "1"))
		for _, p := range []*peer{lead, f} {
			if p == lead {
				o, r, _ := p.read(ReadQuorum, 0)
				require.Equal(t, Done, o)
				require.Equal(t, "1 ", r)
				continue
			}
			o, _, b := p.read(ReadQuorum, 0)
			require.Equal(t, NotLeader, o)
			require.NotEmpty(t, b.Leader)
			b.ReadOnly = true
			p.get().Read(b, 0)
			require.Equal(t, Done, b.Outcome, "asked through a follower")
		}
		w.isolate(lead.id, true)
		o, _, _ := lead.read(ReadDefault, 0)
		require.Equal(t, Done, o, "by the lease")
		o, _, _ = lead.read(ReadQuorum, 0)
		require.NotEqual(t, Done, o)
	})
}
