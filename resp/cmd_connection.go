package resp

import (
	"strconv"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// redisVersion is the version of Redis whose commands and replies this server follows; clients switch on it.
const redisVersion = "7.2.6"

// is compares a client's word, in any case, with one in lower case.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, ch := range arg {
		if 'A' <= ch && ch <= 'Z' {
			ch += 'a' - 'A'
		}
		if ch != word[i] {
			return false
		}
	}
	return true
}

// parseInt reads an integer as strictly as Redis does: no plus sign, no leading zeros, no spaces.
func parseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 || b[0] == '+' || len(b) > 1 && b[0] == '0' || len(b) > 1 && b[0] == '-' && b[1] == '0' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

func ping(c *conn, args [][]byte) {
	switch len(args) {
	case 1:
		c.out.Simple("PONG")
	case 2:
		c.out.Bulk(args[1])
	default:
		c.out.Error(wrongArity("ping"))
	}
}

func echo(c *conn, args [][]byte) { c.out.Bulk(args[1]) }

func quit(c *conn, _ [][]byte) {
	c.out.Simple("OK")
	c.ended = true
}

func reset(c *conn, _ [][]byte) {
	c.reset()
	c.out.Simple("RESET")
}

func selectDB(c *conn, args [][]byte) {
	n, ok := parseInt(args[1])
	switch {
	case !ok:
		c.out.Error(errNotInteger)
	case n < 0 || n >= fsm.Databases:
		c.out.Error(errDBIndex)
	default:
		c.setDB(int(n))
		c.out.Simple("OK")
	}
}

func auth(c *conn, args [][]byte) {
	switch {
	case len(args) > 3:
		c.out.Error(errSyntax)
	case len(args) == 2 && c.srv.password() == "":
		c.out.Error(errAuthNoPass)
	case len(args) == 2 && !c.login([]byte(defaultUser), args[1]), len(args) == 3 && !c.login(args[1], args[2]):
		c.out.Error(errWrongPass)
	default:
		c.out.Simple("OK")
	}
}

// defaultUser is the only user: the one that requirepass protects.
const defaultUser = "default"

// mayLogin checks a name and a password; without a password any will do.
func (c *conn) mayLogin(user, pass []byte) bool {
	return string(user) == defaultUser && (c.srv.password() == "" || c.srv.passwordIs(pass))
}

// login is mayLogin that counts who is refused, and lets in who is not.
func (c *conn) login(user, pass []byte) bool {
	if !c.mayLogin(user, pass) {
		c.srv.stats.denied.Add(1)
		return false
	}
	c.setAuthed(true)
	return true
}

func hello(c *conn, args [][]byte) {
	proto := c.out.Proto()
	if len(args) > 1 {
		n, ok := parseInt(args[1])
		if !ok {
			c.out.Error(errProtoInteger)
			return
		}
		if n != 2 && n != 3 {
			c.out.Error(errNoProto)
			return
		}
		proto = int(n)
	}
	for i := 2; i < len(args); i++ {
		left := len(args) - 1 - i
		switch {
		case is(args[i], "auth") && left >= 2:
			if !c.login(args[i+1], args[i+2]) {
				c.out.Error(errWrongPass)
				return
			}
			i += 2
		case is(args[i], "setname") && left >= 1:
			if !validName(args[i+1]) {
				c.out.Error(errClientName)
				return
			}
			c.setName(args[i+1])
			i++
		default:
			c.out.Error(oneLine("ERR Syntax error in HELLO option '" + string(cString(args[i], quoteLimit)) + "'"))
			return
		}
	}
	if !c.authed && c.srv.password() != "" {
		c.out.Error(errHelloNoAuth)
		return
	}
	c.setProto(proto)
	c.greet(proto)
}

// helloProto is the protocol that a HELLO will choose; false if it chooses none or will fail.
func (c *conn) helloProto(args [][]byte) (proto int, ok bool) {
	if len(args) < 2 {
		return 0, false
	}
	n, ok := parseInt(args[1])
	if !ok || n != 2 && n != 3 {
		return 0, false
	}
	for i := 2; i < len(args); i++ {
		left := len(args) - 1 - i
		switch {
		case is(args[i], "auth") && left >= 2 && c.mayLogin(args[i+1], args[i+2]):
			i += 2
		case is(args[i], "setname") && left >= 1 && validName(args[i+1]):
			i++
		default:
			return 0, false
		}
	}
	return int(n), true
}

// greet answers HELLO.
func (c *conn) greet(proto int) {
	role := "replica"
	if c.srv.node().View().Role == raft.Leader {
		role = "master"
	}
	c.out.Map(7)
	c.pair("server", "redis")
	c.pair("version", redisVersion)
	c.out.BulkString("proto")
	c.out.Int(int64(proto))
	c.out.BulkString("id")
	c.out.Int(int64(c.state.id))
	c.pair("mode", "cluster")
	c.pair("role", role)
	c.out.BulkString("modules")
	c.out.Array(0)
}

func (c *conn) pair(key, value string) {
	c.out.BulkString(key)
	c.out.BulkString(value)
}

func (c *conn) number(key string, n int64) {
	c.out.BulkString(key)
	c.out.Int(n)
}

func (c *conn) flag(key string, on bool) {
	c.out.BulkString(key)
	c.out.Bool(on)
}

// help answers a HELP sub-command: one status line per line.
func (c *conn) help(name string, lines ...string) {
	c.out.Array(len(lines) + 3)
	c.out.Simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, l := range lines {
		c.out.Simple(l)
	}
	c.out.Simple("HELP")
	c.out.Simple("    Lists the sub-commands.")
}

// validName says whether b may stand in CLIENT LIST: printable, no spaces.
func validName(b []byte) bool {
	for _, ch := range b {
		if ch < '!' || ch > '~' {
			return false
		}
	}
	return true
}

func (c *conn) setName(name []byte) {
	c.state.mu.Lock()
	c.state.name = string(name)
	c.state.mu.Unlock()
}

func readOnly(c *conn, _ [][]byte) {
	c.readOnly.Store(true)
	c.out.Simple("OK")
}

func readWrite(c *conn, _ [][]byte) {
	c.readOnly.Store(false)
	c.out.Simple("OK")
}

// asking has no effect: no slot of this cluster ever migrates, so nothing answers ASK.
func asking(c *conn, _ [][]byte) { c.out.Simple("OK") }

func timeNow(c *conn, _ [][]byte) {
	us := c.srv.now().UnixMicro()
	c.out.Array(2)
	c.out.BulkString(strconv.FormatInt(us/1e6, 10))
	c.out.BulkString(strconv.FormatInt(us%1e6, 10))
}

func role(c *conn, _ [][]byte) {
	v, st := c.srv.node().View(), c.srv.status()
	if v.Role == raft.Leader {
		c.out.Array(3)
		c.out.BulkString("master")
		c.out.Int(int64(st.LastIndex))
		near := connectedPeers(&st)
		c.out.Array(len(near))
		for _, p := range near {
			host, port := memberAddr(v, p.ID)
			c.out.Array(3)
			c.out.BulkString(host)
			c.out.BulkString(port)
			c.out.BulkString(strconv.FormatUint(p.Match, 10))
		}
		return
	}
	host, port := memberAddr(v, v.Last)
	state := "connect"
	if v.Leader != 0 {
		state = "connected"
	}
	c.out.Array(5)
	c.out.BulkString("slave")
	c.out.BulkString(host)
	n, _ := strconv.ParseInt(port, 10, 64) // 0 when no leader was ever known
	c.out.Int(n)
	c.out.BulkString(state)
	c.out.Int(int64(st.Applied))
}

// status asks the node, and falls back to what is known without it when the node has stopped.
func (s *Server) status() node.Status {
	st, err := s.node().Status()
	if err == nil {
		return st
	}
	v := s.node().View()
	st.ID, st.Role, st.Term, st.Leader, st.Name, st.Cluster = v.Self.ID, v.Role, v.Term, v.Leader, v.Self.Name, s.clusterID()
	st.Applied = s.node().Store().Applied()
	st.Commit, st.LastIndex = st.Applied, st.Applied
	st.AppliedClock = s.node().Store().Clock()
	return st
}
