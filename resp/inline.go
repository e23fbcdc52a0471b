package resp

import (
	"strconv"

	"kvapp/internal/words"
)

// appendInline appends an inline request, without its end of line, to dst as a RESP array; nothing if it has no words. ok is
// false for unbalanced quotes, and dst is as it was then.
func appendInline(dst, line []byte) (out []byte, ok bool) {
	list, ok := words.Split(line)
	if !ok || len(list) == 0 {
		return dst, ok
	}
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(list)), 10)
	dst = append(dst, '\r', '\n')
	for _, w := range list {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(w)), 10)
		dst = append(dst, '\r', '\n')
		dst = append(dst, w...)
		dst = append(dst, '\r', '\n')
	}
	return dst, true
}
