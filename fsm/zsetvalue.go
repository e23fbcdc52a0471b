package fsm

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// zsetValue is a sorted set: the scores by member, and the members in order. The order of the dict is part of the
// value (ZSCAN and ZRANDMEMBER show it). Invariant: both hold the same pairs.
type zsetValue struct {
	dict[float64]
	tree  ztree
	large bool // the form is zsetSkip
}

func (z *zsetValue) kind() kind { return kindZSet }
func (z *zsetValue) size() int  { return 176 + z.bytes + z.n*zsetEntryCost }

func (z *zsetValue) clone() object { return &zsetValue{z.dict.clone(), z.tree.clone(), z.large} }

func (z *zsetValue) form() form {
	if z.large {
		return zsetSkip
	}
	return zsetPacked
}

func (z *zsetValue) setForm(f form) bool {
	f, ok := largerForm(z.form(), f)
	z.large = f == zsetSkip
	return ok
}

// grown notes what an added member of n bytes does to the form. The member is in the dict already.
func (z *zsetValue) grown(n int) {
	if z.n > ZSetMaxListpackEntries || n > ZSetMaxListpackValue {
		z.large = true
	}
}

// score returns the score of member.
func (z *zsetValue) score(member []byte) (float64, bool) {
	if i := z.find(member); i >= 0 {
		return z.at(i).val, true
	}
	return 0, false
}

// put sets the score of member, not NaN, and reports whether it is new.
func (z *zsetValue) put(member []byte, score float64) bool {
	i := z.find(member)
	if i < 0 {
		z.putNew(string(member), score)
		return true
	}
	z.move(i, score)
	return false
}

// positiveZero turns -0 into 0, as Redis does in its packed encoding: equal scores then print equally.
func positiveZero(score float64) float64 {
	if score == 0 {
		return 0
	}
	return score
}

// putNew adds a member that is not there.
func (z *zsetValue) putNew(member string, score float64) {
	score = positiveZero(score)
	z.add(member, score)
	z.grown(len(member))
	z.tree.insert(zitem{score, member})
}

// move gives the member at position i of the dict another score.
func (z *zsetValue) move(i int, score float64) {
	e := z.at(i)
	if e.val == score {
		return
	}
	m := e.key
	score = positiveZero(score)
	z.tree.removeAt(z.rankOf(zitem{e.val, m}))
	z.tree.insert(zitem{score, m})
	z.set(i, score)
}

func (z *zsetValue) rankOf(it zitem) int {
	return z.tree.rank(&zbound{score: it.score, member: it.member})
}

// remove deletes member and reports whether it was there.
func (z *zsetValue) remove(member []byte) bool {
	i := z.find(member)
	if i < 0 {
		return false
	}
	e := z.at(i)
	z.tree.removeAt(z.rankOf(zitem{e.val, e.key}))
	z.removeAt(i)
	return true
}

// removeRank removes and returns the item of rank r.
func (z *zsetValue) removeRank(r int) zitem {
	it := z.tree.removeAt(r)
	z.removeAt(z.findString(it.member))
	return it
}

func (z *zsetValue) appendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(z.n))
	for i := range z.n {
		e := z.at(i)
		dst = appendBytes(dst, e.key)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.val))
	}
	return dst
}

func decodeZSet(b []byte) (object, error) {
	d := valueDecoder{b: b}
	z := &zsetValue{}
	for n := d.count(); n > 0 && !d.bad; n-- {
		m := d.bytes()
		score := d.float()
		if d.bad || z.find(m) >= 0 {
			return nil, errDecode
		}
		z.add(string(m), score)
		z.grown(len(m))
	}
	if !d.end() || z.n == 0 {
		return nil, errDecode
	}
	z.buildTree()
	return z, nil
}

// buildTree fills the empty tree from the dict. In ascending order an insertion touches the last leaf only and leaves
// full ones behind.
func (z *zsetValue) buildTree() {
	items := make([]zitem, z.n)
	for i := range items {
		items[i] = zitem{z.at(i).val, z.at(i).key}
	}
	slices.SortFunc(items, func(a, b zitem) int {
		return cmp.Or(cmp.Compare(a.score, b.score), strings.Compare(a.member, b.member))
	})
	for _, it := range items {
		z.tree.insert(it)
	}
}

func init() { decoders[kindZSet] = decodeZSet }
