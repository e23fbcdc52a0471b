package resp

import (
	"slices"
	"strings"
)

const (
	errRedirectTwice  = "ERR A client can only redirect to a single other client"
	errRedirectNobody = "ERR The client ID you want redirect to does not exist"
	errPrefixBcast    = "ERR PREFIX option requires BCAST mode to be enabled"
	errSwitchBcast    = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	errOptBcast       = "ERR OPTIN and OPTOUT are not compatible with BCAST"
	errOptBoth        = "ERR You can't specify both OPTIN mode and OPTOUT mode"
	errSwitchOpt      = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	errCachingOff     = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
	errCachingYes     = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
	errCachingNo      = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
)

// trackingOptions are what CLIENT TRACKING was given.
type trackingOptions struct {
	bcast, optin, optout, noloop bool
	redirect                     uint64
	prefixes                     []string
}

// parseTracking reads the options behind ON or OFF; the text is an error's, "" if there is none.
func (s *Server) parseTracking(args [][]byte) (o trackingOptions, fault string) {
	for i := 0; i < len(args); i++ {
		more := i+1 < len(args)
		switch {
		case is(args[i], "redirect") && more:
			i++
			if o.redirect != 0 {
				return o, errRedirectTwice
			}
			id, ok := parseInt(args[i])
			if !ok {
				return o, errNotInteger
			}
			if id < 0 || s.client(uint64(id)) == nil {
				return o, errRedirectNobody
			}
			o.redirect = uint64(id)
		case is(args[i], "bcast"):
			o.bcast = true
		case is(args[i], "optin"):
			o.optin = true
		case is(args[i], "optout"):
			o.optout = true
		case is(args[i], "noloop"):
			o.noloop = true
		case is(args[i], "prefix") && more:
			i++
			o.prefixes = append(o.prefixes, string(args[i]))
		default:
			return o, errSyntax
		}
	}
	return o, ""
}

// conflict says why the options do not go together or with what is on already, "" if they do.
func (o *trackingOptions) conflict(s *cacheState) string {
	switch {
	case !o.bcast && len(o.prefixes) > 0:
		return errPrefixBcast
	case s.on && s.bcast != o.bcast:
		return errSwitchBcast
	case o.bcast && (o.optin || o.optout):
		return errOptBcast
	case o.optin && o.optout:
		return errOptBoth
	case o.optin && s.optout, o.optout && s.optin:
		return errSwitchOpt
	}
	for i, p := range o.prefixes {
		for _, old := range s.prefixes {
			if overlap(p, old) {
				return "ERR Prefix '" + p + "' overlaps with an existing prefix '" + old + "'. Prefixes for a single client must not overlap."
			}
		}
		for _, other := range o.prefixes[i+1:] {
			if overlap(p, other) {
				return "ERR Prefix '" + p + "' overlaps with another provided prefix '" + other + "'. Prefixes for a single client must not overlap."
			}
		}
	}
	return ""
}

func overlap(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func clientTracking(c *conn, args [][]byte) {
	o, fault := c.srv.parseTracking(args[3:])
	on := is(args[2], "on")
	switch {
	case fault != "":
		c.out.Error(fault)
	case on:
		if fault := o.conflict(&c.cache); fault != "" {
			c.out.Error(oneLine(fault))
			return
		}
		c.trackOn(&o)
		c.out.Simple("OK")
	case is(args[2], "off"):
		c.trackOff()
		c.out.Simple("OK")
	default:
		c.out.Error(errSyntax)
	}
}

// trackOn sets the mode. Prefixes are added to those there are; none means every key.
func (c *conn) trackOn(o *trackingOptions) {
	s := &c.cache
	if o.bcast && len(o.prefixes) == 0 {
		o.prefixes = []string{""}
	}
	prefixes := slices.Concat(s.prefixes, o.prefixes)
	slices.Sort(prefixes)
	s.mu.Lock()
	s.bcast, s.optin, s.optout, s.noloop = o.bcast, o.optin, o.optout, o.noloop
	s.redirect, s.broken = o.redirect, false
	s.prefixes = slices.Compact(prefixes)
	s.hold = true // until the reply is out
	s.mu.Unlock()
	c.srv.tracker.enable(c)
	s.mu.Lock()
	s.on = true
	s.mu.Unlock()
}

func (c *conn) trackOff() {
	s := &c.cache
	if !s.on {
		return
	}
	c.srv.tracker.disable(c)
	s.mu.Lock()
	s.on, s.bcast, s.optin, s.optout, s.noloop, s.caching = false, false, false, false, false, false
	s.redirect, s.broken, s.prefixes = 0, false, nil
	s.mu.Unlock()
}

func clientCaching(c *conn, args [][]byte) {
	s := &c.cache
	yes := is(args[2], "yes")
	switch {
	case !s.on:
		c.out.Error(errCachingOff)
	case yes && !s.optin:
		c.out.Error(errCachingYes)
	case yes:
		s.caching = true
		c.out.Simple("OK")
	case !is(args[2], "no"):
		c.out.Error(errSyntax)
	case !s.optout:
		c.out.Error(errCachingNo)
	default:
		s.caching = true
		c.out.Simple("OK")
	}
}

// clientGetRedir answers -1 without tracking and 0 without a redirection.
func clientGetRedir(c *conn, _ [][]byte) { c.out.Int(c.redirection()) }

func (c *conn) redirection() int64 {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	if !c.cache.on {
		return -1
	}
	return int64(c.cache.redirect)
}

func clientTrackingInfo(c *conn, _ [][]byte) {
	s := &c.cache
	s.mu.Lock()
	flags := []string{"off"}
	if s.on {
		flags[0] = "on"
	}
	flag := func(set bool, name string) {
		if set {
			flags = append(flags, name)
		}
	}
	flag(s.bcast, "bcast")
	flag(s.optin, "optin")
	flag(s.optin && s.caching, "caching-yes")
	flag(s.optout, "optout")
	flag(s.optout && s.caching, "caching-no")
	flag(s.noloop, "noloop")
	flag(s.broken, "broken_redirect")
	prefixes := s.prefixes
	s.mu.Unlock()
	c.out.Map(3)
	c.out.BulkString("flags")
	c.out.Set(len(flags))
	for _, f := range flags {
		c.out.BulkString(f)
	}
	c.number("redirect", c.redirection())
	c.out.BulkString("prefixes")
	c.out.Array(len(prefixes))
	for _, p := range prefixes {
		c.out.BulkString(p)
	}
}

// cacheFlags are the letters of CLIENT LIST.
func (c *conn) cacheFlags() (flags string) {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	if c.cache.on {
		flags += "t"
	}
	if c.cache.broken {
		flags += "R"
	}
	if c.cache.bcast {
		flags += "B"
	}
	return flags
}

// facts are the numbers of INFO.
func (t *tracker) facts() (clients, keys, items, prefixes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(t.clients), int64(len(t.keys)), int64(t.items), int64(len(t.prefixes))
}
