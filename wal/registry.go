package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"

	"kvapp/raft"
)

const (
	peersMagic   = "KVAPPEER"
	peersVersion = 1
	maxPeers     = 4096 // a cluster has a handful; this bounds the file
)

// Registry remembers which incarnation of each node this node has accepted, in the file dir/peers:
//
//	"KVAPPEER" | version u32 | count u32 | count x (name: uvarint length, bytes | incarnation u64) | crc32c u32
//
// names in ascending order. Its methods may be called from any goroutine.
//
// Of a founding member, whose incarnation stands nowhere else, the first one seen counts, for ever. Of a member that was
// added later the membership says which incarnation it has; it counts from when it takes effect on this node, whatever
// was accepted before. So a name whose disk is lost comes back in two steps that an operator takes, removal and addition,
// and the old disk does not get in again. No name is forgotten when it is removed: an empty disk that comes under its
// name, and was not added, is refused as before.
//
// A node that was away during both steps refuses the new disk until it has heard of them from the leader. It must: by
// what it knows the name still votes, and the new disk, perhaps empty yet, would vote in its place.
type Registry struct {
	dir string
	fs  FS

	members atomic.Pointer[map[string]uint64] // incarnations that the membership in effect names

	mu     sync.Mutex
	known  map[string]uint64
	failed error // sticky: after it nobody knows what the file holds
}

// OpenRegistry reads dir/peers; without the file no node is known.
func OpenRegistry(dir string) (*Registry, error) { return OpenRegistryOn(nil, dir) }

// OpenRegistryOn is OpenRegistry on another file system.
func OpenRegistryOn(fs FS, dir string) (*Registry, error) {
	fs = orOS(fs)
	r := &Registry{dir: dir, fs: fs, known: map[string]uint64{}}
	r.Follow(nil)
	path := filepath.Join(dir, peersName)
	b, err := fs.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("wal: peers: %w", err)
	}
	if r.known, err = decodePeers(path, b); err != nil {
		return nil, err
	}
	// The process that wrote it may have died before it synced the name; what is known now must stay known.
	if err := fs.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("wal: peers: %w", err)
	}
	return r, nil
}

// Follow tells of the membership in effect. It writes nothing and never waits.
func (r *Registry) Follow(members []raft.Member) {
	named := make(map[string]uint64)
	for i := range members {
		if m := &members[i]; m.Incarnation != 0 {
			named[m.Name] = m.Incarnation
		}
	}
	r.members.Store(&named)
}

// Admit accepts the node name with the incarnation that the membership names; where it names none, with the first one
// ever seen of it, or else the one recorded. What is accepted is recorded durably. Any other incarnation is refused with
// a *WipedError.
func (r *Registry) Admit(name string, incarnation uint64) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("wal: peers: node name of %d bytes, want 1 to %d", len(name), maxName)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return r.failed
	}
	known, ok := r.known[name]
	switch named := (*r.members.Load())[name]; {
	case named != 0 && named != incarnation:
		return &WipedError{Name: name, Known: named, Seen: incarnation}
	case ok && known == incarnation:
		return nil
	case ok && named == 0:
		return &WipedError{Name: name, Known: known, Seen: incarnation}
	}
	if !ok && len(r.known) >= maxPeers {
		return fmt.Errorf("wal: peers: %d nodes are known already", maxPeers)
	}
	r.known[name] = incarnation
	path := filepath.Join(r.dir, peersName)
	if err := writeAtomic(r.fs, path, filepath.Join(r.dir, peersTempName), encodePeers(r.known)); err != nil {
		r.failed = fmt.Errorf("wal: peers: %w", err)
		return r.failed
	}
	return nil
}

func encodePeers(known map[string]uint64) []byte {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	sort.Strings(names)
	b := append([]byte(nil), peersMagic...)
	b = binary.LittleEndian.AppendUint32(b, peersVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(names)))
	for _, name := range names {
		b = appendString(b, name)
		b = binary.LittleEndian.AppendUint64(b, known[name])
	}
	return appendSum(b)
}

func appendSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodePeers reads what encodePeers wrote; path is for the error.
func decodePeers(path string, b []byte) (map[string]uint64, error) {
	damage := func(at int, record uint64, reason string) error {
		return &CorruptError{path, int64(at), record, reason}
	}
	end := len(b) - 4
	if end < len(peersMagic)+8 || string(b[:len(peersMagic)]) != peersMagic {
		return nil, damage(0, 0, "not a list of peers")
	}
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, damage(0, 0, errTorn.Error())
	}
	d := decoder{b: b[len(peersMagic):end]}
	if v := d.u32(); v != peersVersion {
		return nil, &FormatError{path, int64(len(peersMagic)), 0, fmt.Sprintf("format version %d, this version reads %d", v, peersVersion)}
	}
	count := d.u32()
	if count > maxPeers {
		return nil, damage(len(peersMagic)+4, 0, fmt.Sprintf("impossible count %d", count))
	}
	known := make(map[string]uint64, count)
	for i := range uint64(count) {
		at := end - len(d.b)
		name := string(d.bytes(maxName))
		incarnation := d.u64()
		if _, twice := known[name]; twice || d.failed || name == "" {
			return nil, damage(at, i, "malformed entry")
		}
		known[name] = incarnation
	}
	if len(d.b) != 0 {
		return nil, damage(end-len(d.b), uint64(count), "bytes behind the last entry")
	}
	return known, nil
}
