package config

import (
	"errors"
	"strconv"
	"strings"
)

// eventClasses are the classes that the letter A stands for, in the order in which they are shown.
const eventClasses = "g$lshzxetd"

// parseEvents reads letters of event classes and returns them in Redis' order.
func parseEvents(v string) (string, error) {
	const known = "A" + eventClasses + "nKEm"
	has := make(map[rune]bool)
	for _, letter := range v {
		if !strings.ContainsRune(known, letter) {
			return "", errors.New("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
		}
		has[letter] = true
	}
	for _, letter := range eventClasses {
		has[letter] = has[letter] || has['A']
	}
	all := true
	for _, letter := range eventClasses {
		all = all && has[letter]
	}
	var out strings.Builder
	show := func(letters string) {
		for _, letter := range letters {
			if has[letter] {
				out.WriteRune(letter)
			}
		}
	}
	if all {
		out.WriteByte('A') // the letter n is not shown beside it
	} else {
		show(eventClasses + "n")
	}
	show("KEm")
	return out.String(), nil
}

// parseSaves reads pairs of seconds and changes, with one space between words as Redis has it.
func parseSaves(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	f := strings.Split(v, " ")
	if len(f)%2 != 0 {
		return "", errSaves
	}
	for i, word := range f {
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil || n < 0 || i%2 == 0 && n < 1 {
			return "", errSaves
		}
	}
	return v, nil
}

var errSaves = errors.New("Invalid save parameters")
