package resp

import (
	"bytes"
	"strconv"
)

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// appendInline appends an inline request, without its LF, to dst as a RESP array; nothing if it has no words. ok is
// false for unbalanced quotes. The rules are those of Redis: "..." with escapes, '...' with \' only, and a closing
// quote is followed by a space or the end.
func appendInline(dst, line []byte) (out []byte, first []byte, ok bool) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	var words [][]byte
	for {
		for len(line) > 0 && isSpace(line[0]) {
			line = line[1:]
		}
		if len(line) == 0 {
			break
		}
		word, rest, ok := inlineWord(line)
		if !ok {
			return dst, nil, false
		}
		words = append(words, word)
		line = rest
	}
	if len(words) == 0 {
		return dst, nil, true
	}
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(words)), 10)
	dst = append(dst, '\r', '\n')
	for _, w := range words {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(w)), 10)
		dst = append(dst, '\r', '\n')
		dst = append(dst, w...)
		dst = append(dst, '\r', '\n')
	}
	return dst, words[0], true
}

// inlineWord cuts the first word off a line that begins with no space.
func inlineWord(line []byte) (word, rest []byte, ok bool) {
	word = make([]byte, 0, 16)
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == 0 && isSpace(c):
			return word, line[i:], true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			if i+1 < len(line) && !isSpace(line[i+1]) {
				return nil, nil, false
			}
			return word, line[i+1:], true
		case quote == '"' && c == '\\' && i+1 < len(line):
			b, n := unescape(line[i+1:])
			word = append(word, b)
			i += n
		case quote == '\'' && c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			word = append(word, '\'')
			i++
		default:
			word = append(word, c)
		}
	}
	return word, nil, quote == 0
}

// unescape reads what follows a backslash, at least one byte, and returns how many bytes it took.
func unescape(b []byte) (c byte, n int) {
	if len(b) >= 3 && b[0] == 'x' {
		hi, ok1 := hexDigit(b[1])
		lo, ok2 := hexDigit(b[2])
		if ok1 && ok2 {
			return hi<<4 | lo, 3
		}
	}
	switch b[0] {
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'b':
		return '\b', 1
	case 'a':
		return '\a', 1
	}
	return b[0], 1
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
