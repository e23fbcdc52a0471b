package slab

import "math/bits"

const (
	granule   = 8
	fineLimit = 256      // up to here classes go in steps of a granule
	maxSmall  = 32 << 10 // the largest class in bytes
	perDouble = 16       // classes to each doubling beyond fineLimit
	fine      = fineLimit / granule
	classes   = fine + 1 + 7*perDouble // class 0 is none
)

// classSizes are the sizes in bytes of the objects of each class.
var classSizes = func() (sizes [classes]uint32) {
	for c := range sizes {
		if c <= fine {
			sizes[c] = uint32(c) * granule
			continue
		}
		doubling, step := (c-fine-1)/perDouble, (c-fine-1)%perDouble+1
		sizes[c] = uint32(fineLimit<<doubling + step*(fineLimit/perDouble)<<doubling)
	}
	return sizes
}()

// classOf returns the smallest class for n bytes. REQUIRES: 0 <= n <= maxSmall.
func classOf(n int) int {
	if n <= fineLimit {
		return max(1, (n+granule-1)/granule)
	}
	doubling := bits.Len(uint(n-1)) - bits.Len(uint(fineLimit))
	step := uint(bits.Len(uint(fineLimit/perDouble)) - 1 + doubling)
	return fine + doubling*perDouble + (n-fineLimit<<doubling+1<<step-1)>>step
}

// spanPages is the number of pages of a span, chosen so that little is left over behind the last object.
func spanPages(class int) int {
	switch size := classSizes[class]; {
	case size <= 4<<10:
		return 1
	case size <= 16<<10:
		return 4
	default:
		return 8
	}
}

// Size is the number of bytes that an object of n bytes takes.
func Size(n int) int {
	if n > maxSmall {
		return (n + bigUnit - 1) &^ (bigUnit - 1)
	}
	return int(classSizes[classOf(n)])
}

// bigUnit is what the size of an object beyond the classes is rounded to: the system's memory comes in such units.
const bigUnit = 4 << 10
