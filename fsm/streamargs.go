package fsm

import (
	"bytes"
	"math"
	"strconv"
)

const (
	errStreamID       = "ERR Invalid stream ID specified as stream command argument"
	errStreamStart    = "ERR invalid start ID for the interval"
	errStreamEnd      = "ERR invalid end ID for the interval"
	errStreamZero     = "ERR The ID specified in XADD must be greater than 0-0"
	errStreamLow      = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	errStreamFull     = "ERR The stream has exhausted the last possible ID, unable to add more items"
	errStreamLarge    = "ERR Elements are too large to be stored"
	errTrimTwice      = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
	errTrimLen        = "ERR The MAXLEN argument must be >= 0."
	errTrimLimit      = "ERR The LIMIT argument must be >= 0."
	errTrimLimitAlone = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
	errTrimLimitExact = "ERR syntax error, LIMIT cannot be used without the special ~ option"
	errTrimNothing    = "ERR syntax error, XTRIM must be called with a trimming strategy"
	errAddedNegative  = "ERR entries_added must be positive"
	errSetIDDeleted   = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
	errSetIDBehind    = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
	errSetIDLow       = "ERR The ID specified in XSETID is smaller than the target stream top item"
	errSetIDAdded     = "ERR The entries_added specified in XSETID is smaller than the target stream length"
)

// errNoGroup answers a group, or its key, that does not exist.
func errNoGroup(key, group []byte) string {
	return "NOGROUP No such key '" + oneLine(key) + "' or consumer group '" + oneLine(group) + "'"
}

// errNoGroupFor answers a group that does not exist, of a key that does.
func errNoGroupFor(group, key []byte) string {
	return "NOGROUP No such consumer group '" + oneLine(group) + "' for key name '" + oneLine(key) + "'"
}

// errSubSyntax answers a sub-command that does not take these arguments.
func errSubSyntax(sub []byte, name string) string {
	return "ERR unknown subcommand or wrong number of arguments for '" + oneLine(sub[:min(len(sub), 128)]) + "'. Try " + name + " HELP."
}

func readStream(tx *Tx, key []byte, out Out) (*streamValue, bool) {
	return readValue[*streamValue](tx, key, kindStream, out)
}

func writeStream(tx *Tx, key []byte, out Out) (*streamValue, bool) {
	return writeValue[*streamValue](tx, key, kindStream, out)
}

// parseUnsigned reads a number as Redis reads the halves of an id: the canonical form, or what strtoull of C takes, which skips
// white space, knows signs and wraps negative numbers around.
func parseUnsigned(b []byte) (uint64, bool) {
	if n, ok := parseInt(b); ok {
		return uint64(n), n >= 0
	}
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}

// parseStreamID reads an id; without a second half it has seq. As in Redis what follows a zero byte does not count.
func parseStreamID(b []byte, seq uint64) (id streamID, ok bool) {
	id, star, ok := parseAutoID(b, seq)
	return id, ok && !star
}

// parseAutoID is parseStreamID that allows a star as the second half, and tells of it.
func parseAutoID(b []byte, seq uint64) (id streamID, star, ok bool) {
	if len(b) > 127 {
		return id, false, false
	}
	b, _, _ = bytes.Cut(b, []byte{0})
	first, second, split := bytes.Cut(b, []byte{'-'})
	if id.ms, ok = parseUnsigned(first); !ok || !split {
		id.seq = seq
		return id, false, ok
	}
	if string(second) == "*" {
		return id, true, true
	}
	id.seq, ok = parseUnsigned(second)
	return id, false, ok
}

// streamIDArg reads an id whose second half may be missing, then it is 0; otherwise it answers the error.
func streamIDArg(b []byte, out Out) (streamID, bool) {
	id, ok := parseStreamID(b, 0)
	if !ok {
		out.Error(errStreamID)
	}
	return id, ok
}

// edgeArg reads one end of a range: an id, with ( in front for the next one inside of the range, or - or +. The second half is 0
// for the start, and the highest for the end, if it is missing.
func edgeArg(b []byte, end bool, out Out) (id streamID, ok bool) {
	seq, msg, step := uint64(0), errStreamStart, streamID.next
	if end {
		seq, msg, step = math.MaxUint64, errStreamEnd, streamID.prev
	}
	open := len(b) > 1 && b[0] == '('
	switch word, _, _ := bytes.Cut(b, []byte{0}); {
	case open:
		id, ok = parseStreamID(b[1:], seq)
	case len(b) <= 127 && string(word) == "-":
		return streamID{}, true
	case len(b) <= 127 && string(word) == "+":
		return maxStreamID, true
	default:
		id, ok = parseStreamID(b, seq)
	}
	if !ok {
		out.Error(errStreamID)
		return id, false
	}
	if open {
		if id, ok = step(id); !ok {
			out.Error(msg)
		}
	}
	return id, ok
}

// addOptions are the options of XADD and XTRIM.
type addOptions struct {
	trim streamTrim
	// keep says that a missing key stays missing.
	keep    bool
	id      streamID
	given   bool // the first half of the id
	whole   bool // and the second
	idAt    int  // where the id stands
	limited bool // LIMIT was given
}

// trimArg reads the strategy at args[i] and returns the position of its last argument; otherwise it answers the error.
func (o *addOptions) trimArg(args [][]byte, i int, by trimBy, out Out) (int, bool) {
	if o.trim.by != trimNone {
		out.Error(errTrimTwice)
		return 0, false
	}
	o.trim.by, o.trim.approx = by, false
	more := len(args) - 1 - i
	i++
	if word, _, _ := bytes.Cut(args[i], []byte{0}); more >= 2 && (string(word) == "~" || string(word) == "=") {
		o.trim.approx = string(word) == "~"
		i++
	}
	var ok bool
	if by == trimID {
		o.trim.least, ok = streamIDArg(args[i], out)
	} else if o.trim.most, ok = intArg(args[i], out); ok && o.trim.most < 0 {
		out.Error(errTrimLen)
		return 0, false
	}
	return i, ok
}

// parse reads the options of XTRIM, or of XADD up to its id; otherwise it answers the error.
func (o *addOptions) parse(args [][]byte, add bool, out Out) (ok bool) {
	i := 2
scan:
	for ; i < len(args); i++ {
		opt, more := args[i], i < len(args)-1
		switch {
		case add && len(opt) > 0 && opt[0] == '*' && (len(opt) == 1 || opt[1] == 0):
			break scan
		case matchWord(opt, "maxlen") && more:
			i, ok = o.trimArg(args, i, trimLen, out)
		case matchWord(opt, "minid") && more:
			i, ok = o.trimArg(args, i, trimID, out)
		case matchWord(opt, "limit") && more:
			i++
			if o.trim.limit, ok = intArg(args[i], out); ok && o.trim.limit < 0 {
				out.Error(errTrimLimit)
				return false
			}
			o.limited = true
		case add && matchWord(opt, "nomkstream"):
			o.keep, ok = true, true
		case add:
			var star bool
			if o.id, star, ok = parseAutoID(opt, 0); !ok {
				out.Error(errStreamID)
				return false
			}
			o.given, o.whole = true, !star
			break scan
		default:
			out.Error(errSyntax)
			return false
		}
		if !ok {
			return false
		}
	}
	o.idAt = i
	return o.check(add, out)
}

// check answers an error of options that do not go together; without LIMIT it sets the one that Redis has.
func (o *addOptions) check(add bool, out Out) bool {
	switch {
	case o.trim.limit > 0 && o.trim.by == trimNone:
		out.Error(errTrimLimitAlone)
		return false
	case !add && o.trim.by == trimNone:
		out.Error(errTrimNothing)
		return false
	case o.limited && !o.trim.approx:
		out.Error(errTrimLimitExact)
		return false
	case !o.limited && o.trim.approx:
		o.trim.limit = 100 * StreamNodeMaxEntries
	}
	return true
}
