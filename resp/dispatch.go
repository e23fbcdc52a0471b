package resp

import (
	"sync/atomic"

	"kvapp/fsm"
)

// handler executes a command of this package on its connection's goroutine and writes exactly one reply to c.out.
// The arity is checked; args[0] is the name.
type handler func(c *conn, args [][]byte)

// entry is one command of this package, as the tables in specs.go list it, or a sub-command on data.
type entry struct {
	spec fsm.Spec
	run  handler // nil for a container and for what the state machine executes
	tips []string
	subs []entry
}

// command is one command as the dispatcher knows it: a data command of fsm or one of this package.
type command struct {
	spec *fsm.Spec
	name string  // full name, such as client|list
	run  handler // nil for data commands and containers
	tips []string
	own  bool // of this package: spec.Categories is complete
	// atOnce: a transaction does not queue it
	atOnce bool
	subs   map[string]*command
	list   []*command // subs in the order of the table

	stats commandStats
}

// commandStats are what INFO commandstats shows.
type commandStats struct {
	calls, nanos, rejected, failed atomic.Uint64
}

// data says that the command is executed by the state machine.
func (x *command) data() bool { return x.spec.Run != nil }

func (x *command) is(f fsm.Flags) bool { return x.spec.Flags&f != 0 }

// keyless says that a read looks at the whole keyspace: every node answers for itself, a follower does not redirect.
func (x *command) keyless() bool {
	return x.is(fsm.FlagReadonly) && x.spec.FirstKey == 0 && x.spec.Keys == nil
}

// debugs says that the command is DEBUG. Redis has other commands for developers, and lets everybody use them.
func (x *command) debugs() bool { return x.spec.System && x.spec.Group == "server" }

// table finds commands. It is built once and only read afterwards, apart from the counters.
type table struct {
	byName map[string]*command
	list   []*command // top level, data commands first, each part in its table's order
}

func newTable() *table {
	t := &table{byName: make(map[string]*command)}
	for _, s := range fsm.Specs() {
		t.add(dataCommand(s, ""))
	}
	for _, group := range [][]entry{connectionCommands, serverCommands, clusterCommands, transactionCommands} {
		for i := range group {
			t.add(ownCommand(&group[i], ""))
		}
	}
	for _, name := range atOnce {
		t.byName[name].atOnce = true
	}
	return t
}

func (t *table) add(x *command) {
	t.byName[x.spec.Name] = x
	t.list = append(t.list, x)
}

func dataCommand(s *fsm.Spec, parent string) *command {
	x := &command{spec: s, name: parent + s.Name, tips: dataTips[parent+s.Name]}
	for _, sub := range s.Subs {
		x.addSub(dataCommand(sub, s.Name+"|"))
	}
	if help, ok := dataHelp[s.Name]; ok && s.Subs != nil {
		x.addSub(ownCommand(&help, s.Name+"|"))
	}
	return x
}

func ownCommand(e *entry, parent string) *command {
	spec := e.spec
	x := &command{spec: &spec, name: parent + spec.Name, run: e.run, tips: e.tips, own: true}
	for i := range e.subs {
		sub := ownCommand(&e.subs[i], spec.Name+"|")
		x.addSub(sub)
		spec.Subs = append(spec.Subs, sub.spec)
	}
	return x
}

func (x *command) addSub(sub *command) {
	if x.subs == nil {
		x.subs = make(map[string]*command)
	}
	x.subs[sub.spec.Name] = sub
	x.list = append(x.list, sub)
}

// maxName is longer than any command's name.
const maxName = 32

// lower writes name in lower case into buf; false when it is longer than any command.
func lower(name []byte, buf *[maxName]byte) ([]byte, bool) {
	if len(name) > maxName {
		return nil, false
	}
	for i, ch := range name {
		if 'A' <= ch && ch <= 'Z' {
			ch += 'a' - 'A'
		}
		buf[i] = ch
	}
	return buf[:len(name)], true
}

// get finds a top-level command by its name in any case. It does not allocate.
func (t *table) get(name []byte) *command {
	var buf [maxName]byte
	n, ok := lower(name, &buf)
	if !ok {
		return nil
	}
	return t.byName[string(n)]
}

func (x *command) sub(name []byte) *command {
	var buf [maxName]byte
	n, ok := lower(name, &buf)
	if !ok {
		return nil
	}
	return x.subs[string(n)]
}

// find returns what args ask for: a command, or the container with the verdict that its sub-command is unknown. It
// does not allocate.
func (t *table) find(args [][]byte) (*command, verdict) {
	x := t.get(args[0])
	if x == nil {
		return nil, unknown
	}
	if x.subs != nil && len(args) > 1 {
		sub := x.sub(args[1])
		if sub == nil {
			return x, unknownWord
		}
		x = sub
	}
	if !x.spec.CheckArity(len(args)) {
		return x, badArity
	}
	return x, accepted
}

// byPath finds a command by its full name, as COMMAND INFO takes it: config|get.
func (t *table) byPath(name []byte) *command {
	for i, ch := range name {
		if ch == '|' {
			if x := t.get(name[:i]); x != nil {
				return x.sub(name[i+1:])
			}
			return nil
		}
	}
	return t.get(name)
}

// verdict says whether a command may be executed.
type verdict uint8

const (
	accepted verdict = iota
	unknown
	unknownWord
	badArity
	noAuth
	loading
	forbidden // DEBUG, which the settings do not allow
)

// judge finds the command and checks everything that does not need the node's answer, in Redis' order.
func (c *conn) judge(args [][]byte) (*command, verdict) {
	x, v := c.srv.table.find(args)
	if v != accepted {
		return x, v
	}
	if x.debugs() && !c.mayDebug() {
		return x, forbidden
	}
	if !c.authed && !x.is(fsm.FlagNoAuth) && c.srv.password() != "" {
		return x, noAuth
	}
	if !x.data() && !x.is(fsm.FlagLoading) && c.srv.node().View().Loading {
		return x, loading
	}
	return x, accepted
}

// reject answers a command that judge did not accept.
func (c *conn) reject(x *command, v verdict, args [][]byte) {
	if v == unknown || v == unknownWord {
		c.state.last.Store(nil)
	} else {
		c.state.last.Store(x)
		x.stats.rejected.Add(1)
	}
	switch v {
	case unknown:
		if is(args[0], "post") || is(args[0], "host:") {
			c.refuseBrowser()
			return
		}
		c.fail(unknownCommand(args))
	case unknownWord:
		c.fail(unknownSub(args))
	case badArity:
		c.fail(wrongArity(x.name))
	case noAuth:
		c.fail(errNoAuth)
	case forbidden:
		c.fail(errDebugOff)
	default:
		c.fail(errLoading)
	}
	if x != nil && x.name == "exec" {
		c.abort()
	}
}

// refuseBrowser ends a connection on which a browser was made to send an HTTP request: nothing is answered, not even
// what came before, as Redis does.
func (c *conn) refuseBrowser() {
	c.srv.log.Warn("http_request_refused", "client", c.state.addr)
	c.out.Reset()
	c.mark = 0
	c.ended = true
	c.net.Kill()
}
