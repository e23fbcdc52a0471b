package disk

import (
	"hash/crc32"
	"strings"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Hash is of the durable names and bytes.
func (d *Disk) Hash() uint64 {
	h := uint64(14695981039346656037)
	d.root.walk("", func(path string, n *inode) {
		for i := range len(path) {
			h = (h ^ uint64(path[i])) * 1099511628211
		}
		h = mix(h ^ uint64(len(n.durable))<<32 ^ uint64(crc32.Checksum(n.durable, castagnoli)))
	})
	return h
}

// mix spreads every bit over the result.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// walk visits everything durable below n, in order of the names. Paths begin with "/".
func (n *inode) walk(path string, visit func(path string, n *inode)) {
	for _, e := range n.kept {
		p := path + "/" + e.name
		visit(p, e.node)
		e.node.walk(p, visit)
	}
}

// Rot flips one bit of a durable byte of the files whose path begins with prefix; every byte is as likely as another.
// Programs see it at once. It returns what was hit; false if there is nothing to hit.
func (d *Disk) Rot(prefix string) (path string, off int64, ok bool) {
	prefix = "/" + strings.TrimPrefix(prefix, "/")
	var total int64
	d.root.walk("", func(p string, n *inode) {
		if strings.HasPrefix(p, prefix) {
			total += int64(len(n.durable))
		}
	})
	if total == 0 {
		return "", 0, false
	}
	at, bit := d.rand.Int64N(total), byte(1)<<d.rand.IntN(8)
	d.root.walk("", func(p string, n *inode) {
		size := int64(len(n.durable))
		if !strings.HasPrefix(p, prefix) || ok {
			return
		}
		if at >= size {
			at -= size
			return
		}
		path, off, ok = p, at, true
		if at < int64(len(n.data)) && n.data[at] == n.durable[at] {
			n.data[at] ^= bit
		}
		n.durable[at] ^= bit
	})
	return path, off, ok
}
