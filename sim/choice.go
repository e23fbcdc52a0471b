package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// choice is the address of one thing that happened by chance: its class, whose it is, and the how-manieth of its kind it
// is there. Whether it happens, and everything about it, follows from the seed and the address alone: a fault more or less
// changes none of the others.
type choice uint64

func address(c class, who uint8, number uint64) choice {
	return choice(uint64(c)<<56 | uint64(who)<<48 | number&(1<<48-1))
}

func (c choice) class() class   { return class(c >> 56) }
func (c choice) who() uint8     { return uint8(c >> 48) }
func (c choice) number() uint64 { return uint64(c) & (1<<48 - 1) }

// luck decides whether the thing at an address happens, by the odds of its class, and returns random bits for its details.
func (w *World) luck(c class, who uint8, number uint64) (bits uint64, happens bool) {
	return w.luckier(c, who, number, w.o.Odds[c])
}

// luckier is luck with other odds.
func (w *World) luckier(c class, who uint8, number uint64, odds int64) (bits uint64, happens bool) {
	if odds == 0 {
		return 0, false
	}
	at := address(c, who, number)
	bits = mix(w.o.Seed ^ mix(uint64(at)))
	if int64(bits&0xffff) >= odds || !w.allowed(at) {
		return 0, false
	}
	return mix(bits), true
}

// random returns random bits for something that always happens.
func (w *World) random(p purpose, who uint8, number uint64) uint64 {
	return mix(w.o.Seed ^ mix(uint64(address(class(p), who, number))))
}

// allowed says whether something that would happen may. No fault may when the faults have ended; then clients must go on,
// or there would be no progress to see.
func (w *World) allowed(at choice) bool {
	if w.now >= w.faultsEnd {
		return at.class() == clients
	}
	if w.only != nil {
		if _, ok := w.only[at]; !ok {
			return false
		}
	}
	if w.chosen != nil {
		*w.chosen = append(*w.chosen, at)
	}
	return true
}

// owner says what the second part of an address means.
type owner uint8

const (
	ofCluster owner = iota // "-", the number is a round of the nemesis
	ofLink                 // "n1>n2", of a message; "c3", of an answer to a client
	ofNode                 // "n1"
	ofClient               // "c3"
	ofStream               // "s5", of a chunk of the fifth stream; "v5", of the receiver's word that it has everything
)

var owners = [classes]owner{
	lossClass: ofLink, duplicateClass: ofLink, slowClass: ofLink, replayClass: ofLink, streamClass: ofStream,
	stallClass: ofNode, hangClass: ofNode, errorClass: ofNode, busyClass: ofNode, applyClass: ofNode, clients: ofClient, sundry: ofClient,
	spoilClass: ofNode, blocks: ofClient, multi: ofClient,
}

// ofReply marks the loss of an answer to a client.
const ofReply = 0x80

// String is the class, whose it is, and its number.
func (c choice) String() string {
	who, number := int(c.who()), c.number()
	whose := "-"
	switch owners[c.class()] {
	case ofLink:
		whose = fmt.Sprintf("n%d>n%d", who/MaxNodes+1, who%MaxNodes+1)
		if who >= ofReply {
			whose = fmt.Sprintf("c%d", who-ofReply+1)
		}
	case ofNode:
		whose = fmt.Sprintf("n%d", who+1)
	case ofClient:
		whose = fmt.Sprintf("c%d", who+1)
	case ofStream:
		whose = fmt.Sprintf("%c%d", "sv"[who], number>>streamShift)
		number &= 1<<streamShift - 1
	}
	return fmt.Sprintf("%s %s %d", classNames[c.class()], whose, number)
}

// parseChoice is the inverse of String.
func parseChoice(words []string) (choice, error) {
	if len(words) != 3 {
		return 0, errCase
	}
	c := slices.Index(classNames[:], words[0])
	number, err := strconv.ParseUint(words[2], 10, 48)
	if c < 0 || err != nil {
		return 0, errCase
	}
	whose := words[1]
	from, to, isLink := strings.Cut(whose, ">")
	one := func(letter byte, s string, most int) uint64 {
		if len(s) == 0 || s[0] != letter {
			err = errCase
			return 0
		}
		n, perr := parseCount(s[1:], most)
		if perr != nil {
			err = perr
		}
		return uint64(n - 1)
	}
	who := uint64(0)
	switch o := owners[c]; {
	case o == ofLink && isLink:
		who = one('n', from, MaxNodes)*MaxNodes + one('n', to, MaxNodes)
	case o == ofLink:
		who = ofReply | one('c', whose, maxClients)
	case o == ofNode:
		who = one('n', whose, MaxNodes)
	case o == ofClient:
		who = one('c', whose, maxClients)
	case o == ofStream:
		stream := uint64(0)
		if strings.HasPrefix(whose, "v") {
			who, stream = 1, one('v', whose, 1<<27)
		} else {
			stream = one('s', whose, 1<<27)
		}
		number |= (stream + 1) << streamShift
	case whose != "-":
		err = errCase
	}
	return address(class(c), uint8(who), number), err
}
