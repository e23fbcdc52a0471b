package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kvapp/fsm"
)

// drops are the ways to lose a huge value.
var drops = []string{"del", "unlink", "expire", "flushall"}

// dropBenches measure how long the applier is busy with the deletion of one huge value.
func dropBenches(p params) []bench {
	var list []bench
	n := p.elements()
	for _, name := range []string{"hash", "list", "set", "zset"} {
		c := collectionOf(name, big)
		b := bench{name: "drop/" + name}
		for _, how := range drops {
			title := strings.ToUpper(how) + " of " + c.title(count(n)) + ", or the worst write soon behind it: ms of CPU"
			b.rows = append(b.rows, row{how, title, goal{limit: 1}})
		}
		b.steps = []func(*child) (figures, error){func(ch *child) (figures, error) {
			f := make(figures)
			for _, how := range drops {
				took, err := ch.drop(c.fill(n), how)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", how, err)
				}
				f[how] = ms(took)
			}
			return f, nil
		}}
		b.redis = func(_ context.Context, r *redis, _ params) (figures, error) {
			f := make(figures)
			for _, how := range drops {
				usec, err := r.drop(c.fill(n), c.name, how)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", how, err)
				}
				f[how] = usec / 1e3
			}
			return f, nil
		}
		list = append(list, b)
	}
	return list
}

// command is one command of one kind.
func command(args ...string) (fsm.Command, error) {
	c := fsm.Command{Spec: fsm.Lookup([]byte(args[0]))}
	if c.Spec == nil {
		return c, fmt.Errorf("kvapp has no command %q", args[0])
	}
	for _, a := range args {
		c.Args = append(c.Args, []byte(a))
	}
	return c, nil
}

// sweepLimit is the most keys that one sweep deletes.
const sweepLimit = 100

// drop fills a fresh store with one value and loses it. It returns the longest CPU time of the commands that do so and of
// the writes that follow.
func (c *child) drop(fill script, how string) (time.Duration, error) {
	c.fresh()
	if err := c.fill(fill); err != nil {
		return 0, err
	}
	if _, err := settled(); err != nil {
		return 0, err
	}
	var w words
	fill.say(0, &w)
	key := string(w.args(nil)[1])
	args := map[string][]string{"flushall": {"flushall"}, "expire": {"pexpire", key, "1"}}[how]
	if args == nil {
		args = []string{how, key}
	}
	cmd, err := command(args...)
	if err != nil {
		return 0, err
	}
	longest := c.single(&cmd)
	if how == "expire" {
		c.now += 1000
		_, sweep := fsm.SweepCommand(nil, sweepLimit)
		longest = max(longest, c.single(&sweep))
	}
	if keys, _ := c.store.Keys(0); keys != 0 || c.out.err != nil {
		return 0, fmt.Errorf("%d keys are left: %w", keys, c.out.err)
	}
	after, _, err := c.worst(fillStrings(afterwards), 0, func(ops int) bool { return ops >= afterwards })
	return max(longest, after), err
}

// drop does the same to redis-server and returns the microseconds that its statistics show. A key that is due is deleted
// by the command that finds it so: the server's own search for such keys is switched off.
func (r *redis) drop(fill script, key, how string) (float64, error) {
	if err := r.all([]string{"debug", "set-active-expire", "0"}, []string{"flushall"}); err != nil {
		return 0, err
	}
	if err := r.fill(fill); err != nil {
		return 0, err
	}
	key = "big:" + key
	args := map[string][]string{"flushall": {"flushall"}, "expire": {"exists", key}}[how]
	if args == nil {
		args = []string{how, key}
	}
	if how == "expire" {
		if _, err := r.do("pexpire", key, "1"); err != nil {
			return 0, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := r.all([]string{"config", "resetstat"}, args); err != nil {
		return 0, err
	}
	usec, _, err := r.usec(args[0])
	return usec, err
}
