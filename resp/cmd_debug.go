package resp

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"kvapp/fsm"
	"kvapp/internal/config"
	"kvapp/node"
)

const (
	errDebugOff = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local " +
		"connection, otherwise you need to set this option in the configuration file, and then restart the server."
	errReloadOption = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."
	errReloadNoSave = "ERR this server keeps no file that could take the place of its state: the log decides what that is"
	errThreshold    = "ERR argument must be a memory value bigger than 1 and smaller than 4gb"
)

// debugCommand is one sub-command of DEBUG. In Redis they are none for COMMAND, and all have one error text.
type debugCommand struct {
	least, most int // arguments, the name and the word included; most 0 = any number
	run         handler
}

var debugCommands map[string]debugCommand

func init() { // or debugHelp would refer to itself
	debugCommands = map[string]debugCommand{
		"digest":                     {2, 2, debugRead(fsm.DebugDigest)},
		"digest-value":               {2, 0, debugRead(fsm.DebugDigestValue)},
		"error":                      {3, 3, func(c *conn, args [][]byte) { c.out.Error(oneLine(string(args[2]))) }},
		"help":                       {2, 2, debugHelp},
		"listpack":                   {3, 3, debugListpack},
		"log":                        {3, 3, debugLog},
		"object":                     {3, 3, debugRead(fsm.DebugObject)},
		"quicklist-packed-threshold": {3, 3, debugThreshold},
		"reload":                     {2, 0, debugReload},
		"set-active-expire":          {3, 3, debugActiveExpire},
		"sleep":                      {3, 3, debugSleep},
		"stringmatch-len":            {4, 4, debugMatch},
	}
}

// mayDebug says whether this client may use DEBUG.
func (c *conn) mayDebug() bool {
	switch c.srv.settings.Get("enable-debug-command") {
	case "yes":
		return true
	case "local":
		tcp, ok := c.net.RemoteAddr().(*net.TCPAddr)
		return ok && (tcp.IP.Equal(net.IPv4(127, 0, 0, 1)) || tcp.IP.Equal(net.IPv6loopback))
	}
	return false
}

func debugAny(c *conn, args [][]byte) {
	d, ok := debugCommands[lowerWord(string(args[1]))]
	if !ok || len(args) < d.least || d.most != 0 && len(args) > d.most {
		c.out.Error(wrongUse(args))
		return
	}
	d.run(c, args)
}

// debugRead answers a read of this node's own data: linearizable as every read, and redirected by none.
func debugRead(s *fsm.Spec) handler {
	return func(c *conn, args [][]byte) {
		mark := c.out.Len()
		if msg := c.readHere(s, args, c.out); msg != "" {
			c.out.Truncate(mark)
			c.out.Error(msg)
		}
	}
}

// readHere executes a read; if that is not possible it returns the error.
func (c *conn) readHere(s *fsm.Spec, args [][]byte, out fsm.Out) string {
	b := node.NewBatch(out)
	b.ReadOnly, b.Mode, b.MaxStale = true, c.readMode, c.maxStale
	b.Cmds = []fsm.Command{{Spec: s, DB: c.db, Args: args}}
	c.srv.node().Read(b, 0)
	if b.Outcome != node.Done {
		return barrierError(b.Outcome)
	}
	return ""
}

// debugListpack writes the description of a packed value to the log, which goes to the standard output as in Redis, unless
// a setting sends it elsewhere.
func debugListpack(c *conn, args [][]byte) {
	var found Encoder
	msg := c.readHere(fsm.DebugListpack, args, &found)
	switch reply := found.Bytes(); {
	case msg != "":
		c.out.Error(msg)
	case len(reply) > 0 && reply[0] == '-':
		c.out.Raw(reply)
	default:
		_, text, _ := strings.Cut(string(reply), "\r\n")
		c.srv.log.Info("debug_listpack", "key", string(args[2]), "value", strings.TrimSuffix(text, "\r\n"))
		c.out.Simple("Listpack structure printed on stdout")
	}
}

func debugLog(c *conn, args [][]byte) {
	c.srv.log.Warn("debug_log", "message", string(args[2]), "client", c.state.addr)
	c.out.Simple("OK")
}

// debugThreshold takes the size from which on an element of a quicklist has a node of its own. Elements here have a chunk
// of their own when they do not fit into one, on all nodes alike: it changes nothing, as in Redis it changes nothing that
// a client sees.
func debugThreshold(c *conn, args [][]byte) {
	n, err := config.ParseMemory(string(args[2]))
	if err != nil || n > 1<<32-1<<20 {
		c.out.Error(errThreshold)
		return
	}
	c.out.Simple("OK")
}

// debugActiveExpire stops or resumes the deletion of keys that are due and that nobody touches. It holds on the node that
// was asked, while that leads; to clients such keys are gone all the same.
func debugActiveExpire(c *conn, args [][]byte) {
	n, err := strconv.Atoi(string(args[2]))
	c.srv.node().Store().SetActiveExpire(err == nil && n != 0)
	c.out.Simple("OK")
}

// debugSleep holds this connection. The node goes on: a test that wants a server that does not answer stops the process.
func debugSleep(c *conn, args [][]byte) {
	secs, err := strconv.ParseFloat(string(args[2]), 64)
	if err != nil || !(secs > 0) {
		secs = 0
	}
	c.flush()
	defer c.block()()
	timer := time.NewTimer(time.Duration(min(secs, maxSleep) * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.net.Gone():
	case <-c.srv.closed:
	}
	c.out.Simple("OK")
}

// maxSleep is as long as DEBUG SLEEP goes, in seconds: a year.
const maxSleep = 365 * 24 * 3600

func debugMatch(c *conn, args [][]byte) {
	c.out.Int(int64(btoi(fsm.GlobMatch(args[2], args[3]))))
}

// debugReload takes the state through the format of snapshots into a new keyspace and compares the two. It does not put
// the new one in the place of the old: writes that were applied meanwhile would be lost, or would have to wait for seconds
// on this node alone. Since both are equal nobody could tell the difference.
func debugReload(c *conn, args [][]byte) {
	for _, a := range args[2:] {
		switch {
		case is(a, "nosave"):
			c.out.Error(errReloadNoSave)
			return
		case !is(a, "merge") && !is(a, "noflush"):
			c.out.Error(errReloadOption)
			return
		}
	}
	if err := roundTrip(c.srv.node().Store()); err != nil {
		c.srv.log.Error("debug_reload_failed", "error", err.Error())
		c.out.Error(oneLine("ERR Error trying to load the RDB dump, check server logs: " + err.Error()))
		return
	}
	c.out.Simple("OK")
}

// roundTrip encodes the state, decodes it and tells how the two differ.
func roundTrip(store *fsm.Store) error {
	v := store.FreezeShared()
	defer v.Close()
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := v.WriteTo(w)
		_ = w.CloseWithError(err) // the other end gets it
	}()
	fresh := fsm.NewStore()
	err := fresh.Restore(r)
	_ = r.CloseWithError(io.ErrClosedPipe) // ends the writer, if it still writes
	<-done
	if err != nil {
		return err
	}
	if err := fresh.Check(); err != nil {
		return err
	}
	copied := fresh.Freeze()
	defer copied.Close()
	want, _ := v.Hash()
	if got, _ := copied.Hash(); got != want {
		return fmt.Errorf("the hash of the state is %016x, after a round trip %016x", want, got)
	}
	return nil
}

func debugHelp(c *conn, _ [][]byte) {
	c.help("DEBUG",
		"DIGEST", "    Answers a digest of all keys, the same as Redis' for the same data.",
		"DIGEST-VALUE [<key> ...]", "    Answers digests of single values.",
		"ERROR <string>", "    Answers the string as an error.",
		"LISTPACK <key>", "    Describes a packed value in the log.",
		"LOG <message>", "    Writes to the log.",
		"OBJECT <key>", "    Tells how a value is held.",
		"QUICKLIST-PACKED-THRESHOLD <size>", "    Is checked and changes nothing: large elements always stand alone.",
		"RELOAD [MERGE] [NOFLUSH]", "    Encodes this node's state, decodes it and compares the two.",
		"SET-ACTIVE-EXPIRE <0|1>", "    Whether this node, while it leads, deletes keys that are due and that nobody touches.",
		"SLEEP <seconds>", "    Holds this connection; the node goes on.",
		"STRINGMATCH-LEN <pattern> <string>", "    Answers whether a string matches a pattern.")
}

// hllSelfTest is PFSELFTEST.
func hllSelfTest(c *conn, _ [][]byte) {
	if err := fsm.HLLSelfTest(); err != nil {
		c.out.Error("TESTFAILED " + err.Error())
		return
	}
	c.out.Simple("OK")
}
