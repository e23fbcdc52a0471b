package main

import (
	"fmt"
	"time"

	"kvapp/fsm"
	"kvapp/resp"
)

const (
	batchSize = 4096 // commands that are prepared, then timed
	entrySize = 256  // commands of an entry
)

// applier drives a store as the applier of a node does: entries of many commands, each placed by the connection it came
// from, executed in groups, the replies encoded. One goroutine, locked to its thread, uses it.
type applier struct {
	store *fsm.Store
	now   int64 // stamp of the entries in Unix ms
	index uint64
	n     int // commands prepared
	words [batchSize]words
	cmds  [batchSize]fsm.Command
	group [batchSize]*fsm.Command
	outs  [batchSize]fsm.Out
	out   replies
}

// replies takes what commands answer, and remembers an error: a command that fails is not what was to be measured.
type replies struct {
	resp.Encoder
	err error
}

// Error implements fsm.Out.
func (r *replies) Error(msg string) {
	r.err = fmt.Errorf("kvapp answers %s", msg)
	r.Encoder.Error(msg)
}

func newApplier() *applier {
	a := &applier{store: fsm.NewStore(), now: 1_700_000_000_000}
	for i := range a.cmds {
		a.group[i], a.outs[i] = &a.cmds[i], &a.out
	}
	return a
}

// prepare makes n commands, at most batchSize, of a script from number from on.
func (a *applier) prepare(s script, from, n int) error {
	a.n = n
	for i := range n {
		w := &a.words[i]
		w.reset()
		s.say(from+i, w)
		c := &a.cmds[i]
		args := w.args(c.Args[:0])
		spec := fsm.Lookup(args[0])
		if spec == nil || spec.Run == nil {
			return fmt.Errorf("kvapp has no command %q", args[0])
		}
		*c = fsm.Command{Spec: spec, Args: args}
		a.store.Place(c)
	}
	return nil
}

func (a *applier) begin() {
	a.index++
	a.store.Begin(a.index, a.now, a.index)
}

// apply executes what is prepared.
func (a *applier) apply() error {
	for from := 0; from < a.n; from += entrySize {
		a.begin()
		to := min(from+entrySize, a.n)
		for i := from; i < to; i += fsm.Group {
			k := min(i+fsm.Group, to)
			a.store.ExecGroup(a.group[i:k], a.outs[i:k])
		}
		a.store.End()
		a.out.Reset()
	}
	return a.out.err
}

// single executes one command as an entry and returns the CPU time it took, the entry included.
func (a *applier) single(c *fsm.Command) time.Duration {
	start := threadCPU()
	a.begin()
	a.store.Exec(c, &a.out)
	a.store.End()
	took := threadCPU() - start
	a.out.Reset()
	return took
}

// speed is how fast commands were executed, the time to make them excluded.
type speed struct {
	ops       int
	cpu, wall time.Duration // of the thread; of the clock on the wall
}

// perSecond is the commands per second of CPU time, and per second.
func (s speed) perSecond() (cpu, wall float64) {
	return float64(s.ops) / s.cpu.Seconds(), float64(s.ops) / s.wall.Seconds()
}

// pump executes commands of a script, from number from on, until done says that it is enough; at least one batch of up to
// size commands.
func (a *applier) pump(s script, from, size int, done func(ops int) bool) (speed, error) {
	var sum speed
	for {
		if err := a.prepare(s, from+sum.ops, size); err != nil {
			return sum, err
		}
		wall, cpu := time.Now(), threadCPU()
		if err := a.apply(); err != nil {
			return sum, err
		}
		sum.cpu += threadCPU() - cpu
		sum.wall += time.Since(wall)
		if sum.ops += a.n; done(sum.ops) {
			return sum, nil
		}
	}
}

// run executes n commands of a script.
func (a *applier) run(s script, from, n int) (sum speed, err error) {
	for sum.ops < n && err == nil {
		var part speed
		part, err = a.pump(s, from+sum.ops, min(batchSize, n-sum.ops), func(int) bool { return true })
		sum = speed{sum.ops + part.ops, sum.cpu + part.cpu, sum.wall + part.wall}
	}
	return sum, err
}

func (a *applier) fill(s script) error {
	_, err := a.run(s, 0, s.n)
	return err
}

// worst executes commands one by one until done, at least one, and returns the longest CPU time of any, and how many
// they were.
func (a *applier) worst(s script, from int, done func(ops int) bool) (longest time.Duration, ops int, err error) {
	for {
		if err := a.prepare(s, from+ops, batchSize); err != nil {
			return 0, ops, err
		}
		for i := range a.n {
			longest = max(longest, a.single(&a.cmds[i]))
			if ops++; done(ops) {
				return longest, ops, a.out.err
			}
		}
	}
}
