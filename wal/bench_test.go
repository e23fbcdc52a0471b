package wal

import (
	"fmt"
	"testing"
)

// BenchmarkAppend is one durable batch per operation. What it allocates is tidwall/wal's copy of the tail segment.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch=%d/entry=128B", n), func(b *testing.B) {
			l, _ := mustOpen(b, newDir(b), Options{})
			es := ents(1, uint64(n), 1, 128)
			next := &Batch{Entries: es}
			if err := l.Append(&Batch{Hard: hard(1, 0), HasHard: true}); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(n * 128))
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Append(next); err != nil {
					b.Fatal(err)
				}
				for i := range es {
					es[i].Index += uint64(n)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkRead is a cold read of what one message to a follower carries.
func BenchmarkRead(b *testing.B) {
	l, _ := mustOpen(b, newDir(b), Options{})
	if err := l.Append(batch(1, 0, ents(1, 50_000, 1, 128))); err != nil {
		b.Fatal(err)
	}
	lo := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		got, err := l.Read(lo, lo+10_000, 128<<10)
		if err != nil {
			b.Fatal(err)
		}
		lo += uint64(len(got))
		if lo+2000 > 50_000 {
			lo = 1
		}
	}
}
