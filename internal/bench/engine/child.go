package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"

	"kvapp/fsm"
)

// params are the sizes of a run.
type params struct {
	keys   int    // of strings
	change int    // keys of the data set whose sizes change
	dir    string // for the files of one measurement; the children of one share it
}

// elements is how many of them a collection has, or all small ones together.
func (p params) elements() int { return p.keys / 5 / perKey * perKey }

// bench is one measurement. Its steps run in processes of their own, one after the other.
type bench struct {
	name  string
	rows  []row
	steps []func(*child) (figures, error)
	redis func(ctx context.Context, r *redis, p params) (figures, error) // nil = nothing to compare
}

func benches(p params) []bench {
	var list []bench
	for _, part := range [][]bench{memoryBenches(p), applyBenches(p), snapshotBenches(p), dropBenches(p), changeBenches(p)} {
		list = append(list, part...)
	}
	return list
}

// childWord is the first argument of a process that measures: -child NAME STEP KEYS CHANGE DIR.
const childWord = "-child"

// isChild reports whether the program was started to measure.
func isChild(args []string) bool { return len(args) > 0 && args[0] == childWord }

// runChild starts a process for one step and returns its figures.
func runChild(ctx context.Context, b *bench, step int, p params) (figures, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, childWord, b.name, strconv.Itoa(step), strconv.Itoa(p.keys), strconv.Itoa(p.change), p.dir)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("process that measures: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	var f figures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		return nil, fmt.Errorf("process that measures printed %.100q: %w", out.Bytes(), err)
	}
	return f, nil
}

// serveChild is the program's other side: it measures one step and prints the figures.
func serveChild(args []string, out io.Writer) error {
	if len(args) != 6 {
		return errors.New(childWord + " is not for people")
	}
	var n [3]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(args[2+i]); err != nil {
			return err
		}
	}
	p := params{keys: n[1], change: n[2], dir: args[5]}
	for _, b := range benches(p) {
		if b.name != args[1] || n[0] < 0 || n[0] >= len(b.steps) {
			continue
		}
		runtime.LockOSThread() // for good: CPU time is a thread's
		c, err := newChild(p)
		if err != nil {
			return err
		}
		f, err := b.steps[n[0]](c)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(f)
	}
	return fmt.Errorf("no step %s of %q", args[2], args[1])
}

// child is a process that measures: an applier with an empty store, and the memory that it takes without keys.
type child struct {
	params
	*applier
	empty int64 // resident bytes
}

// newChild warms up code and heap on a store that it then drops.
func newChild(p params) (*child, error) {
	c := &child{params: p, applier: newApplier()}
	if err := errors.Join(c.fill(fillStrings(batchSize)), c.fill(mixedFill(batchSize))); err != nil {
		return nil, err
	}
	c.fresh()
	last := int64(0)
	for range 10 { // the first collection does not give back everything
		var err error
		if c.empty, err = settled(); err != nil {
			return nil, err
		}
		if d := c.empty - last; max(d, -d) <= steady {
			break
		}
		last = c.empty
	}
	return c, nil
}

// steady is how many bytes two readings of the memory of an empty store may differ.
const steady = 16 << 10

// fresh drops the store for an empty one.
func (c *child) fresh() { c.store = fsm.NewStore() }

// settled is the resident bytes of this process when all garbage is collected and given back.
func settled() (int64, error) {
	runtime.GC()
	debug.FreeOSMemory()
	return resident(os.Getpid())
}

// grown is the resident bytes that the store's content takes.
func (c *child) grown() (float64, error) {
	n, err := settled()
	runtime.KeepAlive(c.store)
	return float64(n - c.empty), err
}
