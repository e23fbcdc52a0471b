package sim

import "testing"

// events/s of one core, over the worlds that make sim begins with: the real node, journal and state machine, the disk
// model, every invariant and the judgement of the histories.
func BenchmarkSmall(b *testing.B) { benchmark(b, DrawSmall) }
func BenchmarkLarge(b *testing.B) { benchmark(b, DrawLarge) }

func benchmark(b *testing.B, draw func(uint64) Options) {
	b.ReportAllocs()
	events, time := uint64(0), int64(0)
	for seed := uint64(1); b.Loop(); seed++ {
		r := Run(draw(seed), Config{})
		if r.Failure != nil {
			b.Fatal(r.Failure)
		}
		events += r.Events
		time += r.Time
	}
	s := b.Elapsed().Seconds()
	b.ReportMetric(float64(events)/s/1e6, "Mevents/s")
	b.ReportMetric(float64(time)/1e9/s, "simulated-s/s")
}

// Three nodes without faults, limits as in production, ten clients that ask ten times a second each.
func BenchmarkHundredPerSecond(b *testing.B) {
	benchmark(b, func(seed uint64) Options {
		o := DrawLarge(seed)
		o.Nodes, o.Spares, o.Clients, o.Think, o.Election, o.Heartbeat = 3, 0, 10, 100*ms, second, second/10
		o.MinDelay, o.MeanDelay, o.MinFsync, o.MeanFsync = 100*us, 200*us, 100*us, 400*us
		o.Odds = [classes]int64{clients: always}
		return o
	})
}
