package sim

// choice is the address of one thing that happened by chance: its class, whose it is, and the how-manieth of its kind it
// is there. Whether it happens, and everything about it, follows from the seed and the address alone: a fault more or less
// changes none of the others.
type choice uint64

func address(c class, who uint8, number uint64) choice {
	return choice(uint64(c)<<56 | uint64(who)<<48 | number&(1<<48-1))
}

func (c choice) class() class { return class(c >> 56) }

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

// allowed says whether a fault that would happen may: not when the faults have ended.
func (w *World) allowed(at choice) bool { return w.now < w.faultsEnd || at.class() == clients }
