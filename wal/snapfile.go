package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"kvapp/raft"
)

// A snapshot file, integers little endian:
//
//	header   "KVAPSNAP" | version u32 | block size u32 | index u64 | term u64 | membership length u32, bytes | crc32c u32 of the header
//	block    length u32 (1 to block size) | crc32c u32 over its number (u64, from 0) and its bytes | bytes
//	trailer  0 u32 | crc32c u32 over the number of blocks (u64) and the next field | payload bytes u64
//
// Every block but the last is full. Numbering the blocks in their checksums finds one that is missing or misplaced.
const (
	snapMagic      = "KVAPSNAP"
	snapVersion    = 1
	snapBlock      = 64 << 10
	snapFixed      = 8 + 4 + 4 + 8 + 8 + 4 // header up to the membership
	snapBlockHead  = 4 + 4
	snapTrailer    = 4 + 4 + 8
	snapMembership = 16 << 20 // most bytes of membership a reader accepts
)

func appendSnapHeader(dst []byte, meta *raft.SnapshotMeta) []byte {
	from := len(dst)
	dst = append(dst, snapMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, snapVersion)
	dst = binary.LittleEndian.AppendUint32(dst, snapBlock)
	dst = binary.LittleEndian.AppendUint64(dst, meta.Index)
	dst = binary.LittleEndian.AppendUint64(dst, meta.Term)
	m := raft.AppendMembership(nil, meta.Membership)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(m)))
	dst = append(dst, m...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

// putBlockHead fills the eight bytes in front of a block. payload is the block's bytes, or the trailer's last field.
func putBlockHead(head []byte, length int, number uint64, payload []byte) {
	binary.LittleEndian.PutUint32(head, uint32(length))
	binary.LittleEndian.PutUint32(head[4:], blockSum(number, payload))
}

func blockSum(number uint64, payload []byte) uint32 {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], number)
	return crc32.Update(crc32.Checksum(n[:], castagnoli), castagnoli, payload)
}

// sumReader counts and sums what is read through it.
type sumReader struct {
	r   io.Reader
	n   int64
	sum uint32
}

func (s *sumReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.sum = crc32.Update(s.sum, castagnoli, p[:n])
	return n, err
}

// snapReader hands out the payload of a snapshot file, each block only after its checksum matched.
type snapReader struct {
	file   io.Closer
	path   string
	in     *bufio.Reader
	off    int64 // of the next byte of in
	total  int64 // payload bytes verified so far
	blocks uint64
	head   [snapBlockHead]byte
	block  []byte // buffer, as large as the largest block so far
	rest   []byte // of block, not handed out yet
	err    error  // sticky; io.EOF behind a good trailer
	// atEnd checks the whole file when its last byte has been read; nil: nothing to compare with.
	atEnd func() error
}

// openSnapReader opens the file at path and reads its header, for which a small buffer will do.
func openSnapReader(fs FS, path string) (*snapReader, raft.SnapshotMeta, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, raft.SnapshotMeta{}, fmt.Errorf("wal: snapshot: %w", err)
	}
	r, meta, err := newSnapReader(path, file, 4<<10)
	if err != nil {
		closeQuietly(file)
		return nil, meta, err
	}
	r.file = file
	return r, meta, nil
}

// newSnapReader reads through a buffer of at most size bytes, which need not be larger than the file.
func newSnapReader(path string, in io.Reader, size int64) (*snapReader, raft.SnapshotMeta, error) {
	r := &snapReader{path: path, in: bufio.NewReaderSize(in, int(min(size, snapBlock+snapBlockHead)))}
	meta, err := r.header()
	return r, meta, err
}

func (r *snapReader) damage(at int64, reason string) error {
	r.err = &CorruptError{r.path, at, r.blocks, reason}
	return r.err
}

// fill reads len(p) bytes; the end of the file in between is damage at byte at.
func (r *snapReader) fill(p []byte, at int64) error {
	n, err := io.ReadFull(r.in, p)
	r.off += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return r.damage(at, fmt.Sprintf("the file ends at byte %d", r.off))
	}
	if err != nil {
		r.err = fmt.Errorf("wal: snapshot: %w", err)
	}
	return r.err
}

func (r *snapReader) header() (raft.SnapshotMeta, error) {
	var meta raft.SnapshotMeta
	head := make([]byte, snapFixed)
	if err := r.fill(head, 0); err != nil {
		return meta, err
	}
	if string(head[:8]) != snapMagic {
		return meta, r.damage(0, "not a snapshot file")
	}
	n := binary.LittleEndian.Uint32(head[32:])
	if n > snapMembership {
		return meta, r.damage(32, fmt.Sprintf("impossible membership of %d bytes", n))
	}
	head = append(head, make([]byte, n+4)...)
	if err := r.fill(head[snapFixed:], snapFixed); err != nil {
		return meta, err
	}
	end := len(head) - 4
	if crc32.Checksum(head[:end], castagnoli) != binary.LittleEndian.Uint32(head[end:]) {
		return meta, r.damage(0, "checksum of the header does not match")
	}
	if v, b := binary.LittleEndian.Uint32(head[8:]), binary.LittleEndian.Uint32(head[12:]); v != snapVersion || b != snapBlock {
		r.err = &FormatError{r.path, 8, 0, fmt.Sprintf("format version %d with blocks of %d bytes, this version reads %d with %d", v, b, snapVersion, snapBlock)}
		return meta, r.err
	}
	meta.Index = binary.LittleEndian.Uint64(head[16:])
	meta.Term = binary.LittleEndian.Uint64(head[24:])
	var err error
	if meta.Membership, err = raft.DecodeMembership(head[snapFixed:end]); err != nil {
		return meta, r.damage(snapFixed, err.Error())
	}
	return meta, nil
}

// Read implements io.Reader over the payload. io.EOF means that the trailer and the whole file are good.
func (r *snapReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next reads one block or the trailer.
func (r *snapReader) next() error {
	at := r.off
	if err := r.fill(r.head[:], at); err != nil {
		return err
	}
	n, sum := binary.LittleEndian.Uint32(r.head[:]), binary.LittleEndian.Uint32(r.head[4:])
	if n == 0 {
		return r.trailer(at, sum)
	}
	if n > snapBlock {
		return r.damage(at, fmt.Sprintf("impossible block of %d bytes", n))
	}
	if r.total%snapBlock != 0 {
		return r.damage(at, "a block follows one that is not full")
	}
	if len(r.block) < int(n) {
		r.block = make([]byte, n)
	}
	b := r.block[:n]
	if err := r.fill(b, at); err != nil {
		return err
	}
	if blockSum(r.blocks, b) != sum {
		return r.damage(at, "checksum of the block does not match")
	}
	r.blocks++
	r.total += int64(n)
	r.rest = b
	return nil
}

func (r *snapReader) trailer(at int64, sum uint32) error {
	var total [8]byte
	if err := r.fill(total[:], at); err != nil {
		return err
	}
	if blockSum(r.blocks, total[:]) != sum {
		return r.damage(at, "checksum of the trailer does not match")
	}
	if v := binary.LittleEndian.Uint64(total[:]); v != uint64(r.total) {
		return r.damage(at, fmt.Sprintf("the trailer says %d payload bytes, the blocks hold %d", v, r.total))
	}
	switch _, err := r.in.ReadByte(); {
	case err == nil:
		return r.damage(r.off, "bytes behind the trailer")
	case err != io.EOF:
		r.err = fmt.Errorf("wal: snapshot: %w", err)
		return r.err
	}
	r.err = io.EOF
	if r.atEnd != nil {
		if err := r.atEnd(); err != nil {
			r.err = err
		}
	}
	return r.err
}

// Close implements io.Closer.
func (r *snapReader) Close() error {
	if r.err == nil || r.err == io.EOF {
		r.err = os.ErrClosed
	}
	r.rest = nil
	return r.file.Close()
}

// openSnapshot opens the payload of sn and compares the file with everything sn says.
func openSnapshot(fs FS, path string, sn Snapshot) (*snapReader, error) {
	if err := checkSnapshotFile(fs, path, &sn); err != nil {
		return nil, err
	}
	file, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("wal: snapshot: %w", err)
	}
	sums := &sumReader{r: file}
	r, meta, err := newSnapReader(path, sums, sn.Size)
	if err == nil && (meta.Index != sn.Meta.Index || meta.Term != sn.Meta.Term || !sameMembership(&meta.Membership, &sn.Meta.Membership)) {
		err = r.damage(16, fmt.Sprintf("the file is of index %d, term %d, expected %d, %d with the same membership", meta.Index, meta.Term, sn.Meta.Index, sn.Meta.Term))
	}
	if err != nil {
		closeQuietly(file)
		return nil, err
	}
	r.file = file
	r.atEnd = func() error {
		if sums.n != sn.Size || sums.sum != sn.Sum {
			return &CorruptError{path, 0, 0, fmt.Sprintf("the file has %d bytes with checksum %08x, expected %d with %08x", sums.n, sums.sum, sn.Size, sn.Sum)}
		}
		return nil
	}
	return r, nil
}

func sameMembership(a, b *raft.Membership) bool {
	return string(raft.AppendMembership(nil, *a)) == string(raft.AppendMembership(nil, *b))
}

// verifySnapshot reads all of sn.
func verifySnapshot(fs FS, path string, sn Snapshot) error {
	r, err := openSnapshot(fs, path, sn)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.file.Close())
}
