package words

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// endsWord says whether c ends a word that is not quoted. It is not isSpace: a VT or FF is part of the word, as in
// Redis.
func endsWord(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// Split returns the words of a line in memory of their own; none for a blank line. ok is false for unbalanced quotes.
func Split(line []byte) (list [][]byte, ok bool) {
	for {
		for len(line) > 0 && isSpace(line[0]) {
			line = line[1:]
		}
		if len(line) == 0 {
			return list, true
		}
		word, rest, ok := cut(line)
		if !ok {
			return nil, false
		}
		list, line = append(list, word), rest
	}
}

// cut takes the first word off a line that begins with no space.
func cut(line []byte) (word, rest []byte, ok bool) {
	word = make([]byte, 0, 16)
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == 0 && endsWord(c):
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
