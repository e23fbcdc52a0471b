package resp

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"kvapp/fsm"
	"kvapp/node"
)

// Error texts of the connection and server commands. Where Redis has the case, the text is Redis' own: clients compare.
const (
	errSyntax       = "ERR syntax error"
	errNotInteger   = "ERR value is not an integer or out of range"
	errNoAuth       = "NOAUTH Authentication required."
	errHelloNoAuth  = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	errWrongPass    = "WRONGPASS invalid username-password pair or user is disabled."
	errAuthNoPass   = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errNoProto      = "NOPROTO unsupported protocol version"
	errProtoInteger = "ERR Protocol version is not an integer or out of range"
	errClientName   = "ERR Client names cannot contain spaces, newlines or special characters."
	errDBIndex      = "ERR DB index is out of range"
	errSlot         = "ERR Invalid slot"
	errSlotCount    = "ERR Invalid slot or number of keys"
	errTimeout      = "ERR timeout is not an integer or out of range"
	errTimeoutNeg   = "ERR timeout is negative"
	errWaitReplica  = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."
	errWaitAOF      = "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
	errWaitLocal    = "ERR value is out of range, value must between 0 and 1"
	errPositive     = "ERR value is out of range, must be positive"
	errDiskFull     = "MISCONF The disk of the leader has no room for writes: less than raft-disk-reserve-bytes would stay free. Commands that may modify the data set are disabled until there is room again. Please check the logs and INFO persistence for details."
	errInternal     = "ERR internal error"

	errNestedMulti  = "ERR MULTI calls can not be nested"
	errExecAlone    = "ERR EXEC without MULTI"
	errDiscardAlone = "ERR DISCARD without MULTI"
	errWatchInside  = "ERR WATCH inside MULTI is not allowed"
	errNoMulti      = "ERR Command not allowed inside a transaction"
	errExecAbort    = "EXECABORT Transaction discarded because of previous errors."
	errExecAbortFor = "EXECABORT Transaction discarded because of: "
	errLargeMulti   = "ERR the transaction is too large: its commands must fit into client-query-buffer-limit, and with the watched keys into 512 MiB"

	errNoLeader    = "CLUSTERDOWN No raft leader"
	errStopped     = "CLUSTERDOWN The node is shutting down"
	errUncertain   = "UNCERTAIN the write was proposed, but its outcome is unknown: it may still take effect"
	errOverwritten = "TRYAGAIN the leader changed, the command was not executed"
	errReadAgain   = "TRYAGAIN the leader changed, the read was not served"
	errBusy        = "TRYAGAIN too many uncommitted writes, the command was not executed"
	errOOM         = "OOM command not allowed when used memory > 'maxmemory'."
	errLoading     = "LOADING Redis is loading the dataset in memory"

	errAddress     = "ERR an address is host:port"
	errPeerPort    = "ERR the client port + 10000 is no port: give the address for the other nodes with PEER"
	errIncarnation = "ERR an incarnation is a hexadecimal number of up to 16 digits, not 0"
	errNodeName    = "ERR a node's name has 1 to 64 printable characters, no space and none of = , @"
	errStaleBound  = "ERR the bound of stale reads is an integer of milliseconds, 1 to 86400000"
	errNoLease     = "ERR this server reads by quorum: its read-mode says so"
	errPriority    = "ERR a priority is an integer from 0 to 15"
	errUnfinished  = "UNCERTAIN the leader has begun with it, but it is not done yet: RAFT STATUS shows how it goes on"

	errHoldsKeys      = "ERR CLUSTER RESET can't be called with master nodes containing keys"
	errForgetSelf     = "ERR I tried hard but I can't forget myself..."
	errReplicateSelf  = "ERR Can't replicate myself"
	errFailoverMaster = "ERR You should send CLUSTER FAILOVER to a replica"
	errTakeover       = "ERR TAKEOVER is not supported: nobody leads without the votes of a majority"

	errProtected = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. " +
		"In this mode connections are only accepted from the loopback interface. To accept others, either set a password with the setting " +
		"requirepass, or set protected-mode to no (CONFIG SET protected-mode no from the loopback interface, or in the configuration of the next " +
		"start) after making sure that strangers cannot reach this port."
)

// ErrHoldsKeys says that the node cannot leave its cluster, which is its own: it would take keys with it.
var ErrHoldsKeys = errors.New("the node holds keys")

// cString is what printf's %.<max>s shows of b: up to the first NUL byte, at most max bytes.
func cString(b []byte, limit int) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b[:min(len(b), limit)]
}

// quoteLimit is how many bytes of a client's input an error text repeats.
const quoteLimit = 128

// unknownCommand is the answer to a name that is in no table.
func unknownCommand(args [][]byte) string {
	var sb, rest strings.Builder
	sb.WriteString("ERR unknown command '")
	sb.Write(cString(args[0], quoteLimit))
	sb.WriteString("', with args beginning with: ")
	for _, a := range args[1:] {
		if rest.Len() >= quoteLimit {
			break
		}
		a = cString(a, quoteLimit-rest.Len())
		rest.WriteByte('\'')
		rest.Write(a)
		rest.WriteString("' ")
	}
	sb.WriteString(rest.String())
	return oneLine(sb.String())
}

// unknownSub is the answer to a container command with a word it does not know.
func unknownSub(args [][]byte) string {
	return oneLine("ERR unknown subcommand '" + string(cString(args[1], quoteLimit)) + "'. Try " + strings.ToUpper(string(args[0])) + " HELP.")
}

// wrongArity is the answer to a wrong number of arguments; name is the full name, such as client|list.
func wrongArity(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

// unknownNode is the answer to an id that no node has.
func unknownNode(id []byte) string {
	return oneLine("ERR Unknown node " + string(cString(id, len(id))))
}

func addressTaken(name string) string {
	return "ERR " + name + " has one of these addresses: remove it first"
}

// barrierError is the answer to a command that needs to know what the leader knows, and cannot.
func barrierError(o node.Outcome) string {
	switch o {
	case node.Loading:
		return errLoading
	case node.Stopped:
		return errStopped
	default:
		return errNoLeader
	}
}

// wrongUse is the answer to too many arguments of some sub-commands.
func wrongUse(args [][]byte) string {
	return oneLine("ERR unknown subcommand or wrong number of arguments for '" + string(cString(args[1], quoteLimit)) +
		"'. Try " + strings.ToUpper(string(args[0])) + " HELP.")
}

// oneLine keeps what a client sent from breaking the line of an error reply.
func oneLine(s string) string { return lineBreaks.Replace(s) }

var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ")

// outcomeError is what the command c is told when its batch was not executed. It is never called with node.Done.
func outcomeError(o node.Outcome, leader string, c *fsm.Command, keys []int) string {
	switch o {
	case node.NotLeader:
		if leader == "" {
			return errNoLeader
		}
		return moved(c, leader, keys)
	case node.NoLeader:
		return errNoLeader
	case node.Uncertain:
		if c.Spec.Flags&fsm.FlagWrite == 0 {
			return errReadAgain // a read has no effect: it may be repeated
		}
		return errUncertain
	case node.Overwritten:
		return errOverwritten
	case node.Busy:
		return errBusy
	case node.Loading:
		return errLoading
	case node.DiskFull:
		return errDiskFull
	case node.OutOfMemory:
		return errOOM
	default:
		return errStopped
	}
}

// moved sends a client to the leader; the slot is that of the command's first key, 0 if it has none.
func moved(c *fsm.Command, leader string, keys []int) string {
	slot := 0
	if keys = c.Spec.KeyPositions(c.Args, keys[:0]); len(keys) > 0 {
		slot = int(fsm.Slot(c.Args[keys[0]]))
	}
	return "MOVED " + strconv.Itoa(slot) + " " + leader
}
