package sim

import "slices"

// Shrunk is the outcome of Shrink.
type Shrunk struct {
	Case    Case
	Failure *Failure // of Case; nil: it does not fail
	Runs    int      // worlds that were run
}

// Shrink looks for the smallest case that breaks the same invariant as c does: it leaves out classes of faults, clients,
// keys and time, and then one by one of all that happened by chance, as long as the failure stays (delta debugging). What
// is left out changes nothing about the rest, see choice. It runs at most limit worlds, and traces none.
func Shrink(c Case, limit int, cfg Config) Shrunk {
	cfg.Trace = nil
	s := shrinker{cfg: cfg, limit: limit}
	r := c.Run(cfg)
	s.best = Shrunk{Case: c, Failure: r.Failure, Runs: 1}
	if r.Failure == nil {
		return s.best
	}
	s.simplify()
	if !s.best.Case.Limited {
		var chosen []choice
		cfg.chosen = &chosen
		s.best.Case.Run(cfg)
		s.best.Runs++
		all := s.best.Case
		all.Limited, all.Only = true, chosen
		s.fails(all)
	}
	if s.best.Case.Limited {
		s.leaveOut()
		s.simplify()
	}
	return s.best
}

type shrinker struct {
	best  Shrunk
	limit int
	cfg   Config
}

// fails runs a case that is smaller than the best one, and makes it the best one if it fails in the same way.
func (s *shrinker) fails(c Case) bool {
	if s.best.Runs >= s.limit {
		return false
	}
	s.best.Runs++
	r := c.Run(s.cfg)
	if r.Failure == nil || r.Failure.Invariant != s.best.Failure.Invariant {
		return false
	}
	s.best.Case, s.best.Failure = c, r.Failure
	return true
}

// simplify makes the world itself smaller.
func (s *shrinker) simplify() {
	for f := range classes {
		if o := s.best.Case.Options(); o.Odds[f] > 0 && f != clients {
			c := s.best.Case
			c.Without = append(slices.Clone(c.Without), f)
			s.fails(c)
		}
	}
	c := s.best.Case
	if o := c.Options(); o.Spares > 0 {
		c.Alone = true
		s.fails(c)
	}
	s.fewer(func(c *Case, o *Options) (*int, int) { return &c.Clients, o.Clients })
	s.fewer(func(c *Case, o *Options) (*int, int) { return &c.Keys, o.Keys })
	s.sooner()
}

// fewer halves a number as long as the failure stays.
func (s *shrinker) fewer(number func(c *Case, o *Options) (set *int, now int)) {
	for {
		c := s.best.Case
		o := c.Options()
		set, now := number(&c, &o)
		if now <= 1 {
			return
		}
		*set = now / 2
		if !s.fails(c) {
			return
		}
	}
}

// sooner lets the faults end sooner.
func (s *shrinker) sooner() {
	o := s.best.Case.Options()
	low, high := int64(0), min(o.Duration, s.best.Failure.At+1)
	for high-low > o.Election {
		c := s.best.Case
		c.Until = low + (high-low)/2
		if s.fails(c) {
			high = c.Until
		} else {
			low = c.Until
		}
	}
}

// leaveOut leaves out what happened by chance: at first halves of it, at last one by one, until everything is needed.
func (s *shrinker) leaveOut() {
	for size := (len(s.best.Case.Only) + 1) / 2; size > 0; {
		smaller := false
		for from := 0; from < len(s.best.Case.Only); {
			c := s.best.Case
			to := min(from+size, len(c.Only))
			c.Only = slices.Concat(c.Only[:from], c.Only[to:])
			if s.fails(c) {
				smaller = true
			} else {
				from = to
			}
			if s.best.Runs >= s.limit {
				return
			}
		}
		if size > 1 || !smaller {
			size /= 2
		}
	}
}
