package fsm

// maxLCSCells bounds LCS: Redis keeps 4 bytes per pair of positions and at most proto-max-bulk-len of them.
const maxLCSCells = maxString / 4

// lcsOptions are the options of LCS.
type lcsOptions struct {
	length, index, withLength bool
	minLength                 int64
}

func runLCS(tx *Tx, args [][]byte, out Out) {
	var text [2][]byte
	wrong := false
	for i := range text { // both are looked up in any case: a miss is an event
		it := tx.find(args[1+i])
		switch {
		case it.absent():
		case it.kind() != kindString:
			wrong = true
		default:
			text[i] = it.appendString(nil)
		}
	}
	if wrong {
		out.Error(errLCSType)
		return
	}
	opts, ok := parseLCSOptions(args[3:], out)
	if !ok {
		return
	}
	a, b := text[0], text[1]
	if int64(len(a)+1)*int64(len(b)+1) > maxLCSCells {
		out.Error(errLCSMemory)
		return
	}
	tx.unlock() // the texts are copies, and the work is long
	table := newLCSTable(a, b)
	if opts.length {
		out.Int(int64(table.length))
		return
	}
	common, ranges := table.trace(a, b)
	if !opts.index {
		out.Bulk(common)
		return
	}
	replyLCSRanges(ranges, table.length, opts, out)
}

func parseLCSOptions(args [][]byte, out Out) (o lcsOptions, ok bool) {
	for i := 0; i < len(args); i++ {
		switch {
		case matchWord(args[i], "idx"):
			o.index = true
		case matchWord(args[i], "len"):
			o.length = true
		case matchWord(args[i], "withmatchlen"):
			o.withLength = true
		case matchWord(args[i], "minmatchlen") && i+1 < len(args):
			i++
			if o.minLength, ok = intArg(args[i], out); !ok {
				return o, false
			}
		default:
			out.Error(errSyntax)
			return o, false
		}
	}
	if o.index && o.length {
		out.Error(errLCSBoth)
		return o, false
	}
	return o, true
}

// lcsTable holds, for every pair of prefixes, which of them to shorten when their last bytes differ: one bit where
// the textbook keeps a number.
type lcsTable struct {
	length int
	width  int
	up     []uint64 // bit i*width+j: shorten the first string
}

func newLCSTable(a, b []byte) *lcsTable {
	t := &lcsTable{width: len(b)}
	t.up = make([]uint64, (len(a)*len(b)+63)/64)
	row := make([]uint32, len(b)+1)
	for i, x := range a {
		diagonal := uint32(0)
		for j, y := range b {
			above, left := row[j+1], row[j]
			switch {
			case x == y:
				row[j+1] = diagonal + 1
			case above > left:
				bit := i*t.width + j
				t.up[bit/64] |= 1 << (bit % 64)
			default:
				row[j+1] = left
			}
			diagonal = above
		}
	}
	t.length = int(row[len(b)])
	return t
}

// lcsRange is a run of the common subsequence: inclusive positions in both strings.
type lcsRange struct{ aFrom, aTo, bFrom, bTo int }

// trace walks back from the ends: it returns the common subsequence, and its runs from the last to the first.
func (t *lcsTable) trace(a, b []byte) (common []byte, ranges []lcsRange) {
	common = make([]byte, t.length)
	n, open := t.length, false
	for i, j := len(a), len(b); i > 0 && j > 0; {
		if a[i-1] == b[j-1] {
			i, j, n = i-1, j-1, n-1
			common[n] = a[i]
			if open {
				r := &ranges[len(ranges)-1]
				r.aFrom, r.bFrom = i, j
			} else {
				ranges = append(ranges, lcsRange{i, i, j, j})
				open = true
			}
			continue
		}
		open = false
		if bit := (i-1)*t.width + j - 1; t.up[bit/64]&(1<<(bit%64)) != 0 {
			i--
		} else {
			j--
		}
	}
	return common, ranges
}

func replyLCSRanges(ranges []lcsRange, length int, o lcsOptions, out Out) {
	shown := ranges[:0]
	for _, r := range ranges {
		if int64(r.aTo-r.aFrom+1) >= o.minLength {
			shown = append(shown, r)
		}
	}
	out.Map(2)
	out.BulkString("matches")
	out.Array(len(shown))
	for _, r := range shown {
		if o.withLength {
			out.Array(3)
		} else {
			out.Array(2)
		}
		out.Array(2)
		out.Int(int64(r.aFrom))
		out.Int(int64(r.aTo))
		out.Array(2)
		out.Int(int64(r.bFrom))
		out.Int(int64(r.bTo))
		if o.withLength {
			out.Int(int64(r.aTo - r.aFrom + 1))
		}
	}
	out.BulkString("len")
	out.Int(int64(length))
}
