package fsm

// Out takes the reply of one command as typed values (the kinds of RESP3); the client's protocol decides how they
// are encoded. Aggregates announce their length and are followed by that many values (Map: by twice as many). Byte
// slices are copied before the call returns. An Out is used by one goroutine at a time.
type Out interface {
	Simple(s string)  // status, such as OK
	Error(msg string) // begins with the error's word, such as "ERR syntax error"
	Int(n int64)
	Bulk(b []byte)
	BulkString(s string)
	Null()      // RESP2: $-1
	NullArray() // RESP2: *-1
	Array(n int)
	Map(n int)               // n pairs; RESP2: array of 2n
	Set(n int)               // RESP2: array
	Push(n int)              // RESP2: array
	Double(f float64)        // RESP2: bulk string, printed as Redis 7.0 prints it
	DoubleText(b []byte)     // a double in digits of the command's own, such as 17 behind the point
	Bool(b bool)             // RESP2: integer
	BigNumber(s string)      // RESP2: bulk string
	Verbatim(kind, s string) // kind has 3 letters; RESP2: bulk string
	RESP3() bool             // a few commands answer another shape
	Len() int                // bytes encoded so far
	Truncate(n int)          // forget what was encoded behind n
}
