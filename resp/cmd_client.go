package resp

import (
	"net"
	"strconv"
	"syscall"
	"time"
)

func clientID(c *conn, _ [][]byte) { c.out.Int(int64(c.state.id)) }

func clientGetName(c *conn, _ [][]byte) {
	c.state.mu.Lock()
	name := c.state.name
	c.state.mu.Unlock()
	if name == "" {
		c.out.Null()
		return
	}
	c.out.BulkString(name)
}

func clientSetName(c *conn, args [][]byte) {
	if !validName(args[2]) {
		c.out.Error(errClientName)
		return
	}
	c.setName(args[2])
	c.out.Simple("OK")
}

func clientSetInfo(c *conn, args [][]byte) {
	st := &c.state
	word, field := "lib-name", &st.lib
	switch {
	case is(args[2], "lib-name"):
	case is(args[2], "lib-ver"):
		word, field = "lib-ver", &st.libVer
	default:
		c.out.Error(oneLine("ERR Unrecognized option '" + string(cString(args[2], quoteLimit)) + "'"))
		return
	}
	if !validName(args[3]) {
		c.out.Error("ERR " + word + " cannot contain spaces, newlines or special characters.")
		return
	}
	st.mu.Lock()
	*field = string(args[3])
	st.mu.Unlock()
	c.out.Simple("OK")
}

// setSwitch reads ON or OFF into a flag of the connection.
func (c *conn) setSwitch(arg []byte, flag *bool) {
	on := is(arg, "on")
	if !on && !is(arg, "off") {
		c.out.Error(errSyntax)
		return
	}
	c.state.mu.Lock()
	*flag = on
	c.state.mu.Unlock()
	c.out.Simple("OK")
}

func clientNoEvict(c *conn, args [][]byte) { c.setSwitch(args[2], &c.state.noEvict) }

func clientNoTouch(c *conn, args [][]byte) { c.setSwitch(args[2], &c.state.noTouch) }

func clientReply(c *conn, args [][]byte) {
	switch {
	case is(args[2], "on"):
		c.reply = replyOn
		c.out.Simple("OK")
	case is(args[2], "off"):
		c.reply = replyOff
	case is(args[2], "skip"):
		if c.reply != replyOff {
			c.reply = replySkipNext
		}
	default:
		c.out.Error(errSyntax)
	}
}

// longestPause keeps the end of a pause within what a Duration and a clock can hold: 34 years.
const longestPause = 1 << 40 // ms

func clientPause(c *conn, args [][]byte) {
	all := true
	if len(args) > 4 {
		c.out.Error(wrongUse(args))
		return
	}
	if len(args) == 4 {
		all = is(args[3], "all")
		if !all && !is(args[3], "write") {
			c.out.Error("ERR CLIENT PAUSE mode must be WRITE or ALL")
			return
		}
	}
	ms, ok := parseInt(args[2])
	if !ok {
		c.out.Error(errTimeout)
		return
	}
	if ms < 0 {
		c.out.Error(errTimeoutNeg)
		return
	}
	c.srv.pause.set(time.Now().Add(time.Duration(min(ms, longestPause))*time.Millisecond), all)
	c.out.Simple("OK")
}

func clientUnpause(c *conn, _ [][]byte) {
	c.srv.pause.clear()
	c.out.Simple("OK")
}

func clientInfo(c *conn, _ [][]byte) {
	c.out.Verbatim("txt", string(c.describe(nil, c.srv.now()))+"\n")
}

// clientTypes are the words of TYPE. Every connection here is a normal one.
func clientType(arg []byte) (normal, known bool) {
	if is(arg, "normal") {
		return true, true
	}
	return false, is(arg, "master") || is(arg, "replica") || is(arg, "slave") || is(arg, "pubsub")
}

func clientList(c *conn, args [][]byte) {
	list := c.srv.clients()
	switch {
	case len(args) == 2:
	case len(args) == 4 && is(args[2], "type"):
		normal, known := clientType(args[3])
		if !known {
			c.out.Error(unknownType(args[3]))
			return
		}
		if !normal {
			list = nil
		}
	case len(args) > 3 && is(args[2], "id"):
		byID := make(map[int64]*conn, len(list))
		for _, o := range list {
			byID[int64(o.state.id)] = o
		}
		list = list[:0]
		for _, a := range args[3:] {
			id, ok := parseInt(a)
			if !ok {
				c.out.Error("ERR Invalid client ID")
				return
			}
			if o := byID[id]; o != nil {
				list = append(list, o)
			}
		}
	default:
		c.out.Error(errSyntax)
		return
	}
	var b []byte
	now := c.srv.now()
	for _, o := range list {
		b = append(o.describe(b, now), '\n')
	}
	c.out.Verbatim("txt", string(b))
}

func unknownType(arg []byte) string {
	return oneLine("ERR Unknown client type '" + string(cString(arg, quoteLimit)) + "'")
}

// flags are the letters of CLIENT LIST for what a connection is and waits for. st.mu is held.
func (c *conn) flags() string {
	st, flags := &c.state, ""
	if st.multi.Load() > 0 {
		flags += "x"
	}
	if st.waits() {
		flags += "b"
	}
	flags += c.cacheFlags()
	if w := c.watched.Load(); w != nil && w.lost.Load() {
		flags += "d"
	}
	if c.readOnly.Load() {
		flags += "r"
	}
	if st.noEvict {
		flags += "e"
	}
	if st.noTouch {
		flags += "T"
	}
	if flags == "" {
		return "N"
	}
	return flags
}

// clientLine is a line of CLIENT LIST in the making.
type clientLine []byte

func (l *clientLine) word(key, v string) {
	*l = append(*l, ' ')
	*l = append(*l, key...)
	*l = append(*l, '=')
	*l = append(*l, v...)
}

func (l *clientLine) num(key string, n int64) { l.word(key, strconv.FormatInt(n, 10)) }

// describe appends the line of CLIENT LIST without its end. Any goroutine.
func (c *conn) describe(b []byte, now time.Time) []byte {
	st := &c.state
	st.mu.Lock()
	name, lib, libVer, flags := st.name, st.lib, st.libVer, c.flags()
	st.mu.Unlock()
	cmd := "NULL"
	if x := st.last.Load(); x != nil {
		cmd = x.name
	}
	l := clientLine(strconv.AppendUint(append(b, "id="...), st.id, 10))
	l.word("addr", st.addr)
	l.word("laddr", st.laddr)
	l.num("fd", st.fd)
	l.word("name", name)
	l.num("age", since(now, st.created))
	l.num("idle", max(0, since(now, c.net.LastActive())))
	l.word("flags", flags)
	l.num("db", int64(st.db.Load()))
	for _, key := range []string{"sub", "psub", "ssub"} {
		l.num(key, 0)
	}
	l.num("multi", st.multi.Load()-1)
	argv := st.argv.Load()
	in, out := c.net.QueryBuffer()+st.request.Load(), c.net.OutputBuffer()
	l.num("qbuf", in)
	l.num("qbuf-free", 0)
	l.num("argv-mem", argv)
	// Replies have no buffer of fixed size here: what the socket did not take waits in one queue.
	queued := st.multiMem.Load()
	l.num("multi-mem", queued)
	for _, key := range []string{"rbs", "rbp", "obl"} {
		l.num(key, 0)
	}
	events, queues := "r", int64(0)
	if out > 0 {
		events, queues = "rw", 1
	}
	l.num("oll", queues)
	l.num("omem", out)
	l.num("tot-mem", in+argv+queued+out)
	l.word("events", events)
	l.word("cmd", cmd)
	l.word("user", defaultUser)
	l.num("redir", c.redirection())
	l.num("resp", int64(st.proto.Load()))
	l.word("lib-name", lib)
	l.word("lib-ver", libVer)
	return l
}

// killFilter is what CLIENT KILL was asked to end; nil and 0 mean any.
type killFilter struct {
	id          uint64
	addr, laddr []byte
	never       bool // a type that no connection here has
	skipMe      bool
}

func (f *killFilter) matches(c, me *conn) bool {
	return !f.never && (f.id == 0 || c.state.id == f.id) && (f.addr == nil || c.state.addr == string(f.addr)) &&
		(f.laddr == nil || c.state.laddr == string(f.laddr)) && !(f.skipMe && c == me)
}

func clientKill(c *conn, args [][]byte) {
	if len(args) == 3 {
		f := killFilter{addr: args[2]}
		if c.kill(&f) == 0 {
			c.out.Error("ERR No such client")
			return
		}
		c.out.Simple("OK")
		return
	}
	f := killFilter{skipMe: true}
	if msg := f.parse(args[2:]); msg != "" {
		c.out.Error(msg)
		return
	}
	c.out.Int(int64(c.kill(&f)))
}

// parse reads pairs of an option and its value; it returns an error text, or "".
func (f *killFilter) parse(args [][]byte) string {
	if len(args)%2 != 0 {
		return errSyntax
	}
	for i := 0; i < len(args); i += 2 {
		opt, val := args[i], args[i+1]
		switch {
		case is(opt, "id"):
			id, ok := parseInt(val)
			if !ok || id < 1 {
				return "ERR client-id should be greater than 0"
			}
			f.id = uint64(id)
		case is(opt, "type"):
			normal, known := clientType(val)
			if !known {
				return unknownType(val)
			}
			f.never = f.never || !normal
		case is(opt, "addr"):
			f.addr = val
		case is(opt, "laddr"):
			f.laddr = val
		case is(opt, "user"):
			if string(val) != defaultUser {
				return oneLine("ERR No such user '" + string(cString(val, quoteLimit)) + "'")
			}
		case is(opt, "skipme") && is(val, "yes"):
			f.skipMe = true
		case is(opt, "skipme") && is(val, "no"):
			f.skipMe = false
		default:
			return errSyntax
		}
	}
	return ""
}

// kill ends the connections that match and counts them; this one ends after its reply.
func (c *conn) kill(f *killFilter) (n int) {
	for _, o := range c.srv.clients() {
		if !f.matches(o, c) {
			continue
		}
		n++
		if o == c {
			c.ended = true
		} else {
			o.net.Kill()
		}
	}
	return n
}

func clientHelp(c *conn, _ [][]byte) {
	c.help("CLIENT",
		"CACHING (YES|NO)", "    Says whether the keys of the next command are tracked, in the OPTIN or OPTOUT mode.",
		"GETNAME", "    Answers the name of this connection.",
		"GETREDIR", "    Answers which connection gets the invalidation messages for this one.",
		"ID", "    Answers the id of this connection.",
		"INFO", "    Describes this connection.",
		"KILL <ip:port>", "    Ends the connection from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]", "    Ends the connections that match all of ID, ADDR, LADDR, TYPE, USER;",
		"    SKIPME (yes|no) says whether this one is spared (default: yes).",
		"LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)|ID <id> [<id> ...]]", "    Describes connections, one a line.",
		"NO-EVICT (ON|OFF)", "    Marks this connection as one not to be dropped for memory.",
		"NO-TOUCH (ON|OFF)", "    Says whether this connection's commands count as use of keys.",
		"PAUSE <timeout> [WRITE|ALL]", "    Holds the commands of all clients, or their writes, for <timeout> milliseconds.",
		"REPLY (ON|OFF|SKIP)", "    Says which commands of this connection are answered.",
		"SETINFO (LIB-NAME|LIB-VER) <value>", "    Tells the name or version of the client's library.",
		"SETNAME <name>", "    Names this connection.",
		"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
		"    Has this connection told when keys that it has read change.",
		"TRACKINGINFO", "    Answers whether and how this connection tracks keys.",
		"UNBLOCK <client-id> [TIMEOUT|ERROR]", "    Ends the wait of a command: as if its time were over, or with an error.",
		"UNPAUSE", "    Ends a pause.")
}

// block marks the connection as one that waits, until the function it returns is called.
func (c *conn) block() func() {
	c.state.blocked.Store(true)
	return func() {
		c.state.blocked.Store(false)
		c.state.timed.Store(false)
	}
}

// countBlocked counts the connections that wait.
func countBlocked(all []*conn) int64 {
	waiting, _ := countWaits(all)
	return waiting
}

// countWaits counts the connections that wait, and those of them that do so for a limited time.
func countWaits(all []*conn) (waiting, timed int64) {
	for _, c := range all {
		if !c.state.waits() {
			continue
		}
		waiting++
		if c.state.timed.Load() {
			timed++
		}
	}
	return waiting, timed
}

// hold notes what the command being executed takes of memory; nil when it has ended.
func (st *clientState) hold(args [][]byte) {
	var argv, request int64
	if args != nil {
		request = headerLen(len(args))
	}
	for _, a := range args {
		argv += int64(len(a))
		request += headerLen(len(a)) + int64(len(a)) + 2
	}
	st.argv.Store(argv)
	st.request.Store(request)
}

// headerLen is the length of a line such as "$12\r\n".
func headerLen(n int) int64 {
	size := int64(4)
	for ; n > 9; n /= 10 {
		size++
	}
	return size
}

// descriptor is the number of a socket's file, -1 when nc is none.
func descriptor(nc net.Conn) int64 {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1
	}
	n := int64(-1)
	if raw.Control(func(fd uintptr) { n = int64(fd) }) != nil {
		return -1
	}
	return n
}
