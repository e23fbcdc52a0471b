package fsm

import (
	"bytes"
	"strings"
)

// Every error text of the data commands, once. The texts are Redis' own: clients compare them.
const (
	errWrongType   = "WRONGTYPE Operation against a key holding the wrong kind of value"
	errSyntax      = "ERR syntax error"
	errNotInteger  = "ERR value is not an integer or out of range"
	errNotFloat    = "ERR value is not a valid float"
	errOutOfRange  = "ERR value is out of range"
	errPositive    = "ERR value is out of range, must be positive"
	errIndexRange  = "ERR index out of range"
	errNoSuchKey   = "ERR no such key"
	errOverflow    = "ERR increment or decrement would overflow"
	errNaNInfinity = "ERR increment would produce NaN or Infinity"
	errTooLong     = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	errOffset      = "ERR offset is out of range"
	errDecrement   = "ERR decrement would overflow"
	errCursor      = "ERR invalid cursor"
	errSameObject  = "ERR source and destination objects are the same"
	errDBIndex     = "ERR DB index is out of range"
	errIntRange    = "ERR value is out of range, value must between -2147483648 and 2147483647"
	errFirstDB     = "ERR invalid first DB index"
	errSecondDB    = "ERR invalid second DB index"
	errExpireNXXX  = "ERR NX and XX, GT or LT options at the same time are not compatible"
	errExpireGTLT  = "ERR GT and LT options at the same time are not compatible"
	errHashExpire  = "ERR invalid expire time, must be >= 0"
	errFieldsWord  = "ERR Mandatory argument FIELDS is missing or not at the right position"
	errFieldsZero  = "ERR Parameter `numFields` should be greater than 0"
	errFieldsCount = "ERR Number of fields must be a positive integer"
	errFieldsMatch = "ERR The `numfields` parameter must match the number of arguments"
	errLCSBoth     = "ERR If you want both the length and indexes, please just use IDX."
	errLCSType     = "ERR The specified keys must contain string values"
	errNotLFU      = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. " + errSwitching
	errLFU         = "ERR An LFU maxmemory policy is selected, idle time not tracked. " + errSwitching
	errSwitching   = "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
	errSortScore   = "ERR One or more scores can't be converted into double"
	errBusyKey     = "BUSYKEY Target key name already exists."
	errDumpFooter  = "ERR DUMP payload version or checksum are wrong"
	errDumpFormat  = "ERR Bad data format"
	errRestoreTTL  = "ERR Invalid TTL value, must be >= 0"
	errRestoreIdle = "ERR Invalid IDLETIME value, must be >= 0"
	errRestoreFreq = "ERR Invalid FREQ value, must be >= 0 and <= 255"
	errLCSMemory   = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
)

// errArity answers a wrong number of arguments that only the command itself can notice.
func errArity(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

// errPFDebug answers an unknown word of PFDEBUG, which Redis prints up to the first zero byte.
func errPFDebug(word []byte) string { return "ERR Unknown PFDEBUG subcommand '" + oneLine(word) + "'" }

// errExpire answers a time to live that is not positive or does not fit.
func errExpire(name string) string { return "ERR invalid expire time in '" + name + "' command" }

// errOption answers an unknown option of commands that name it: up to the first zero byte, on one line.
func errOption(opt []byte) string {
	opt, _, _ = bytes.Cut(opt, []byte{0})
	opt = bytes.TrimRight(opt, "\r\n")
	return "ERR Unsupported option " + oneLine(opt)
}

// oneLine is what a client sent up to the first zero byte, without line ends.
func oneLine(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(string(b))
}
