package fsm

// Flags of a command, named as COMMAND INFO prints them.
type Flags uint32

// The flags of Redis 7.0's command table.
const (
	FlagWrite Flags = 1 << iota
	FlagReadonly
	FlagDenyOOM
	FlagAdmin
	FlagPubSub
	FlagNoScript
	FlagBlocking
	FlagLoading
	FlagStale
	FlagSkipMonitor
	FlagSkipSlowlog
	FlagAsking
	FlagFast
	FlagNoAuth
	FlagMayReplicate
	FlagNoMulti
	FlagMovableKeys
	FlagAllowBusy
	FlagNoAsyncLoading
	// FlagInternal commands stand in log entries only; clients get the unknown-command error.
	FlagInternal
	// FlagClock reads answer with the distance to a deadline (TTL, PTTL): the leader brings the log's clock up to date first.
	FlagClock
	// FlagAllKeys commands look at or change the whole keyspace without naming keys (FLUSHALL, KEYS, SCAN, DBSIZE).
	FlagAllKeys
)

// Spec is everything the server knows about one command; COMMAND, arity errors, key extraction, routing and MOVED
// follow from it.
type Spec struct {
	Name       string // lower case; sub-commands hold only their own word
	Arity      int    // as COMMAND INFO: negative = at least
	Flags      Flags
	FirstKey   int // positions in Args, 0 = no keys
	LastKey    int // negative counts from the end
	KeyStep    int
	KeyFlags   []string                             // RW, access, update, ...; with KeySpecs they stand there
	Keys       func(args [][]byte, dst []int) []int // movable keys: appends their positions; nil = by FirstKey, LastKey, KeyStep
	Wide       func(args [][]byte) bool             // the command looks at keys that it does not name; nil = it does not
	KeySpecs   []KeySpec                            // groups of keys; nil = one, by KeyFlags, FirstKey, LastKey, KeyStep
	VaryFlags  func(args [][]byte) []string         // flags of the first group that depend on the arguments; nil = they do not
	Categories string                               // ACL categories beyond those that follow from flags and group, such as "string bitmap"
	Since      string
	Group      string
	Summary    string
	Complexity string
	Deprecated string // since which version; empty = it is not
	ReplacedBy string // what to use instead of a deprecated command
	System     bool   // for developers of servers only: COMMAND DOCS marks it
	// Event is what keyspace notifications call the changes of keys that it makes; empty = Name, see noEvent.
	Event string
	// Args documents the arguments for COMMAND DOCS; nil = none.
	Args []Arg
	// Run executes a data command; args[0] is the command's name. nil for commands that resp handles.
	Run  func(tx *Tx, args [][]byte, out Out)
	Subs []*Spec
	// Logged is a read that changes something now and then, or has to wait, as it is in the log: a write. Changes says whether it
	// would change something, see Store.Promote; nil = it never does. Both are nil for all others.
	Logged  *Spec
	Changes func(tx *Tx, args [][]byte) bool
	// Blocks says whether a command with FlagBlocking may have to wait; nil = it always may.
	Blocks func(args [][]byte) bool
}

// Arg is one argument as COMMAND DOCS describes it.
type Arg struct {
	Name, Type, Token, Since string
	Deprecated               string // since which version; empty = it is not
	Group                    int    // of a key, or of a pattern that makes keys: index in Spec.KeyGroups
	Optional, Multiple       bool
	MultipleToken            bool // Token stands before every one of Multiple
	Args                     []Arg
}

// Command is one parsed command on its way through the server. Args[0] is the name. Raw is the same command in RESP
// (array of bulk strings), as it stands in the log.
type Command struct {
	Spec *Spec
	DB   int
	Args [][]byte
	Raw  []byte
	// Quiet commands do not count as a use of their keys on this node, as after CLIENT NO-TOUCH. Not in the log.
	Quiet bool

	// Where Args[1] lies, if placed; see Store.Place.
	placed bool
	slot   uint16
	hash   uint32

	// Txn is what a command made by Transaction.Command executes; nil for all others.
	Txn *Transaction
	// Blocked is told if the command has to wait; nil = the reply of such a command is discarded. Not in the log.
	Blocked *Blocked
}
