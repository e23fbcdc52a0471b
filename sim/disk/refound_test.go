package disk

import (
	"errors"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/race"
)

// founder is a node whose log is about to become another cluster's.
type founder struct {
	*node
	size int   // of the entry that founds it
	next state // the other cluster's
}

func newFounder(t *testing.T, seed uint64) *founder {
	n := newNode(seed)
	require.NoError(t, n.run(5))
	n.maybe, n.admits, n.sent = nil, nil, nil
	size := n.rand.IntN(400)
	return &founder{n, size, n.acked.refounded(size)}
}

func (f *founder) refound() error { return f.node.refound(f.size) }

// finishes opens what d has become. It must be the old state as it was, and then it can be made the new one, or be that
// with everything, which it says. Either way the new one then survives the worst failure.
func (f *founder) finishes(d *Disk) (done bool, err error) {
	n := f.on(d)
	rec, err := n.open()
	if err != nil {
		return false, err
	}
	switch {
	case f.next.is(&rec):
		done = true
	case n.acked.is(&rec):
		if err := n.refound(f.size); err != nil {
			return false, err
		}
	default:
		return false, errors.New("neither the old state nor the new one")
	}
	d.Crash(Loss{})
	if rec, err = n.open(); err == nil && !f.next.is(&rec) {
		err = errors.New("another state after the second crash")
	}
	return done, err
}

// The machine fails at every changing operation of a change of the cluster, and loses what it may lose in every way, or
// only the process dies. What is left is the old cluster's as it was, or the new one's with everything; and the next
// attempt ends it.
func TestRefoundCrashes(t *testing.T) {
	left := map[bool]int{}
	seeds := race.Share(100)
	for seed := range uint64(seeds) {
		for k := 1; ; k++ {
			f := newFounder(t, seed)
			f.d.CrashAfter(k)
			if f.refound() == nil {
				require.Greater(t, k, 2, "it writes and syncs")
				f.d.Crash(Loss{})
				done, err := f.finishes(f.d)
				require.NoError(t, err)
				require.True(t, done, "what is acknowledged is there")
				break
			}
			require.True(t, f.d.Crashed())
			killed := f.d.Clone()
			done, err := f.finishes(killed)
			require.NoError(t, err, "seed %d, operation %d, killed", seed, k)
			left[done]++
			for i, loss := range Losses() {
				c := f.d.Clone()
				c.pcg.Seed(uint64(k), uint64(i))
				c.Crash(loss)
				done, err := f.finishes(c)
				require.NoError(t, err, "seed %d, operation %d, %+v", seed, k, loss)
				left[done]++
			}
		}
	}
	require.Greater(t, left[false], 5*seeds)
	require.Greater(t, left[true], 5*seeds)
}

// An error of the disk is told, and the log not used again; the next process finds one of the two states.
func TestRefoundFails(t *testing.T) {
	for _, op := range []Op{OpWrite, OpSync, OpCreate, OpSyncDir} {
		failed := 0
		for seed := range uint64(100) {
			f := newFounder(t, seed)
			f.d.FailNext(op, syscall.EIO)
			err := f.refound()
			if err == nil {
				continue // no such operation in it
			}
			failed++
			require.ErrorIs(t, err, syscall.EIO)
			require.ErrorIs(t, f.refound(), syscall.EIO)
			_, err = f.finishes(f.d.Clone())
			require.NoError(t, err, "seed %d, %s, killed", seed, op)
			f.d.Crash(Loss{})
			_, err = f.finishes(f.d)
			require.NoError(t, err, "seed %d, %s", seed, op)
		}
		require.Greater(t, failed, 10, "%s", op)
	}
}

// The disk is full at every byte of it: nothing has changed, and when there is room again it can be done.
func TestRefoundOnAFullDisk(t *testing.T) {
	for room := int64(0); ; room++ {
		f := newFounder(t, 7)
		f.d.SetSpace(room)
		err := f.refound()
		if err == nil {
			require.Greater(t, room, int64(100))
			return
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		f.d.Kill()
		f.d.SetSpace(-1)
		done, err := f.finishes(f.d)
		require.NoError(t, err, "room %d", room)
		require.False(t, done)
	}
}
