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
