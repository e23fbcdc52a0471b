package fsm

// globMatch reports whether s matches the pattern by Redis' rules: * any bytes, ? one byte, [abc], [a-z], [^x], and \
// takes the next byte as it is. A class that is not closed ends with the pattern. An empty s matches only the empty
// pattern. Only the last * is ever tried again, so the time is at most len(pattern)*len(s).
func globMatch[S string | []byte](pattern []byte, s S) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, i := 0, 0
	star, from := -1, 0 // pattern behind the last *, and where its next try begins in s
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				p++
				star, from = p, i
				continue
			}
			if next, ok := globOne(pattern, p, s[i]); ok {
				p = next
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// globOne matches one byte against the element of the pattern at p, which is not *; next is behind the element.
func globOne(pattern []byte, p int, c byte) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return globClass(pattern, p+1, c)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, pattern[p] == c
}

// globClass matches one byte against the class whose [ stands before p.
func globClass(pattern []byte, p int, c byte) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	for ; ; p++ {
		rest := len(pattern) - p
		switch {
		case rest == 0:
			return p, ok != not
		case rest >= 2 && pattern[p] == '\\':
			p++
			ok = ok || pattern[p] == c
		case pattern[p] == ']':
			return p + 1, ok != not
		case rest >= 3 && pattern[p+1] == '-':
			low, high := pattern[p], pattern[p+2]
			if low > high {
				low, high = high, low
			}
			ok = ok || low <= c && c <= high
			p += 2
		default:
			ok = ok || pattern[p] == c
		}
	}
}

// matchesAll reports whether the pattern is the one that selects every key.
func matchesAll(pattern []byte) bool { return len(pattern) == 1 && pattern[0] == '*' }
