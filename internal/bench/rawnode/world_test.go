package main

import (
	"fmt"
	"testing"
)

// Both cores elect, commit what is proposed, and agree; the simulated time of both is the same.
func TestBothCommit(t *testing.T) {
	for _, l := range loads {
		t.Run(fmt.Sprint(l), func(t *testing.T) {
			ws, err := worlds(l)
			if err != nil {
				t.Fatal(err)
			}
			for k, w := range ws {
				if err := w.runUntil(10 * second); err != nil {
					t.Fatal(err)
				}
				if err := w.agree(); err != nil {
					t.Fatal(k, err)
				}
				now, events, applied := w.state()
				least := uint64(l.perSecond) * 9
				if l.perSecond < 0 {
					least = 10_000
				}
				if now != 10*second || events < uint64(l.nodes)*1000 || applied < least {
					t.Fatalf("core %d: %d ns, %d events, %d entries", k, now, events, applied)
				}
			}
		})
	}
}

func TestHeapOrder(t *testing.T) {
	nodes, err := newOurs(1)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(nodes, 0)
	for range 10000 {
		w.put(event{at: w.rng.Int64N(100)})
	}
	last := w.take()
	for len(w.heap) > 0 {
		e := w.take()
		if e.before(&last) {
			t.Fatal(last, e)
		}
		last = e
	}
}
