package sim

// clock is the clock of one node: true time with an offset and a constant drift. It implements node.Clock and is read in
// true time now of its world.
type clock struct {
	w     *World
	begin int64 // true time at which the interval clock showed zero
	zero  int64 // what it showed then
	ppm   int64 // drift in millionths
	wall  int64 // ms that wall time is off
}

// epoch is the wall time in ms at which every simulation begins.
const epoch = 1_700_000_000_000

// at returns what the interval clock shows at true time t.
func (c *clock) at(t int64) int64 {
	d := t - c.begin
	return c.zero + d + d*c.ppm/1_000_000
}

// when returns the first true time at which the interval clock shows local or more.
func (c *clock) when(local int64) int64 {
	d := local - c.zero
	t := c.begin + d*1_000_000/(1_000_000+c.ppm) - 2
	for c.at(t) < local {
		t++
	}
	return t
}

// turn makes the clock go at another speed from now on. It shows the same time as before.
func (c *clock) turn(ppm int64) {
	c.zero, c.begin, c.ppm = c.Now(), c.w.now, ppm
}

// reboot makes the interval clock begin anew, as after a power loss.
func (c *clock) reboot(shows int64) { c.zero, c.begin = shows, c.w.now }

// Now implements node.Clock.
func (c *clock) Now() int64 { return c.at(c.w.now) }

// WallMs implements node.Clock.
func (c *clock) WallMs() int64 { return epoch + c.w.now/1e6 + c.wall }
