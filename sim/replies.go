package sim

// reply is one value that a command answered.
type reply struct {
	kind byte // '+' status, '-' error, ':' integer, '$' bulk string, '_' nothing
	num  int64
	text string // of '+', '-' and '$'
}

// replies takes what commands answer. It implements fsm.Out; its length counts values instead of bytes.
type replies struct{ values []reply }

func (r *replies) put(v reply) { r.values = append(r.values, v) }

func (r *replies) Simple(s string)      { r.put(reply{kind: '+', text: s}) }
func (r *replies) Error(s string)       { r.put(reply{kind: '-', text: s}) }
func (r *replies) Int(n int64)          { r.put(reply{kind: ':', num: n}) }
func (r *replies) Bulk(b []byte)        { r.put(reply{kind: '$', text: string(b)}) }
func (r *replies) BulkString(s string)  { r.put(reply{kind: '$', text: s}) }
func (r *replies) Null()                { r.put(reply{kind: '_'}) }
func (r *replies) NullArray()           { r.put(reply{kind: '_'}) }
func (r *replies) Array(n int)          { r.put(reply{kind: '*', num: int64(n)}) }
func (r *replies) Map(n int)            { r.put(reply{kind: '%', num: int64(n)}) }
func (r *replies) Set(n int)            { r.put(reply{kind: '~', num: int64(n)}) }
func (r *replies) Push(n int)           { r.put(reply{kind: '>', num: int64(n)}) }
func (r *replies) Double(float64)       { r.put(reply{kind: ','}) }
func (r *replies) DoubleText([]byte)    { r.put(reply{kind: ','}) }
func (r *replies) Bool(bool)            { r.put(reply{kind: '#'}) }
func (r *replies) BigNumber(s string)   { r.put(reply{kind: '(', text: s}) }
func (r *replies) Verbatim(_, s string) { r.put(reply{kind: '=', text: s}) }
func (r *replies) RESP3() bool          { return false }
func (r *replies) Len() int             { return len(r.values) }
func (r *replies) Truncate(n int)       { r.values = r.values[:n] }
