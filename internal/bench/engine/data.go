package main

import "strconv"

// The data sets and what is done with them: the same commands for the state machine and for redis-server.

const (
	valueSize = 64 // bytes of a string
	perKey    = 10 // elements of a small collection; also of one command that fills
	perLarge  = 2500
)

func fillStrings(n int) script {
	return script{n, func(i int, w *words) {
		w.text("set")
		w.name("key", i)
		w.value(i, valueSize)
	}}
}

func fillNumbers(n int) script {
	return script{n, func(i int, w *words) {
		w.text("set")
		w.name("key", i)
		w.number(i)
	}}
}

func setStrings(n int) script {
	return script{n, func(i int, w *words) {
		w.text("set")
		w.name("key", random(i, n))
		w.value(i+1, valueSize)
	}}
}

// oneKey is a command without other arguments on random ones of n keys.
func oneKey(name string, n int) script {
	return script{n, func(i int, w *words) {
		w.text(name)
		w.name("key", random(i, n))
	}}
}

// writeLoad is what clients do during a snapshot: they overwrite random ones of n keys, and one write in a hundred makes
// a new key.
func writeLoad(n int) script {
	over := setStrings(n)
	return script{n, func(i int, w *words) {
		if i%100 != 0 {
			over.say(i, w)
			return
		}
		w.text("set")
		w.name("key", n+i/100)
		w.value(i, valueSize)
	}}
}

// extent is how many elements a key has.
type extent int

const (
	small extent = iota // perKey
	large               // perLarge, which is beyond what Redis packs
	big                 // all: there is one key
)

var extentNames = [...]string{"small", "large", "big"}

// collection is one type of value with many elements, in one of three extents.
type collection struct {
	name, one, many string // the last two for titles
	add, size       string // the commands that fill, and that ask how many there are
	extent          extent
	element         func(i int, w *words)
	change          func(i, r int, w *words, key func(*words)) // the i-th write, to the element r
	pairs           bool                                       // the second of two writes takes back what the first did
}

func member(i int, w *words) { w.name("m", i) }

var collections = []collection{
	{
		name: "hash", one: "hash", many: "hashes", add: "hset", size: "hlen",
		element: func(i int, w *words) {
			member(i, w)
			w.value(i, nameSize)
		},
		change: func(i, r int, w *words, key func(*words)) {
			w.text("hset")
			key(w)
			member(r, w)
			w.value(i+1, nameSize)
		},
	},
	{
		name: "list", one: "list", many: "lists", add: "rpush", size: "llen",
		pairs: true, element: func(i int, w *words) { w.value(i, nameSize) },
		change: func(i, _ int, w *words, key func(*words)) {
			if i%2 == 0 {
				w.text("rpush")
				key(w)
				w.value(i, nameSize)
				return
			}
			w.text("lpop")
			key(w)
		},
	},
	{
		name: "set", one: "set", many: "sets", add: "sadd", size: "scard",
		pairs: true, element: member, change: changeMember(member),
	},
	{
		name: "intset", one: "set of integers", many: "sets of integers", add: "sadd", size: "scard",
		pairs: true, element: integer, change: changeMember(integer),
	},
	{
		name: "zset", one: "sorted set", many: "sorted sets", add: "zadd", size: "zcard",
		element: func(i int, w *words) {
			w.number(random(i, 1<<30))
			member(i, w)
		},
		change: func(i, r int, w *words, key func(*words)) {
			w.text("zadd")
			key(w)
			w.number(random(i+1, 1<<30))
			member(r, w)
		},
	},
}

func integer(i int, w *words) { w.number(i * 7) }

// changeMember takes a member of a set away and puts it back.
func changeMember(element func(int, *words)) func(i, r int, w *words, key func(*words)) {
	return func(i, r int, w *words, key func(*words)) {
		if i%2 == 0 {
			w.text("srem")
		} else {
			w.text("sadd")
		}
		key(w)
		element(r, w)
	}
}

// collectionOf is the type with a name, in an extent.
func collectionOf(name string, e extent) collection {
	var found collection
	for _, c := range collections {
		if c.name == name {
			found = c
		}
	}
	found.extent = e
	return found
}

// title is how reports call it; a big one has so many elements.
func (c collection) title(elements string) string {
	if c.extent == big {
		return "one " + c.one + " of " + elements
	}
	return c.many + " of " + strconv.Itoa(c.perKey())
}

// perKey is the number of elements of each of many keys.
func (c collection) perKey() int {
	if c.extent == large {
		return perLarge
	}
	return perKey
}

// key adds the key that holds element i.
func (c collection) key(i int, w *words) {
	if c.extent == big {
		w.text("big:" + c.name)
		return
	}
	w.name(c.name, i/c.perKey())
}

// fill makes n elements.
func (c collection) fill(n int) script {
	return script{n / perKey, func(i int, w *words) {
		w.text(c.add)
		c.key(i*perKey, w)
		for j := range perKey {
			c.element(i*perKey+j, w)
		}
	}}
}

// writes changes random ones of n elements; their number stays about the same.
func (c collection) writes(n int) script {
	return script{n, func(i int, w *words) {
		r := random(i, n)
		if c.pairs {
			r = random(i/2, n)
		}
		c.change(i, r, w, func(w *words) { c.key(r, w) })
	}}
}

// visits asks for something of every element's key, in random order; redis-server moves its tables on meanwhile.
func (c collection) visits(n int) script {
	return script{n, func(i int, w *words) {
		w.text(c.size)
		c.key(random(i, n), w)
	}}
}

// fillSizes makes n keys with values of 1 to 512 bytes.
func fillSizes(n int) script {
	return script{n, func(i int, w *words) {
		w.text("set")
		w.name("key", i)
		w.value(i, 1+random(i, 512))
	}}
}

// payload is the bytes of keys and values that a script of SET writes.
func (s script) payload() float64 {
	sum := 0
	var w words
	for i := range s.n {
		w.reset()
		s.say(i, &w)
		sum += w.payload()
	}
	return float64(sum)
}

// deleteHalf deletes one of each pair of n keys, by chance.
func deleteHalf(n int) script {
	return script{n / 2, func(i int, w *words) {
		w.text("del")
		w.name("key", 2*i+random(i, 2))
	}}
}

// otherSizes makes keys behind the first n, with values of 32 to 288 bytes.
func otherSizes(n, count int) script {
	return script{count, func(i int, w *words) {
		w.text("set")
		w.name("key", n+i)
		w.value(i, 32+random(i, 257))
	}}
}

// mixedFill is every collection in both sizes, n elements each.
func mixedFill(n int) script {
	var all []collection
	for _, c := range collections {
		all = append(all, collectionOf(c.name, small), collectionOf(c.name, big))
	}
	return fills(n, all...)
}

// fills makes n elements of each of the collections, one after the other.
func fills(n int, all ...collection) script {
	each := n / perKey
	return script{each * len(all), func(i int, w *words) { all[i/each].fill(n).say(i%each, w) }}
}
