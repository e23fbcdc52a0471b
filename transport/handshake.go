package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"

	"kvapp/raft"
)

// Hello is what a node says of itself when a connection begins. The strings are at most 255 bytes long.
type Hello struct {
	Cluster     string // id of the cluster; both sides must name the same
	Name        string
	Node        raft.NodeID
	Incarnation uint64 // of the node's disk: a wiped disk is another incarnation
	To          string // name of the peer it wants; a probe may leave it empty
	Addr        string // where it listens for other nodes, host:port; empty: it is not called back by strangers
}

// Code says why a connection was refused. The numbers are part of the wire format.
type Code uint8

// The reasons of a refusal.
const (
	CodeVersion  Code = 1 + iota // the peer speaks another version of the format
	CodeCluster                  // the peer belongs to another cluster
	CodeName                     // the peer has another name than the one that was called
	CodeSelf                     // the caller has the peer's own id or name
	CodeIdentity                 // name and id of the caller do not belong together
	CodeAdmit                    // the peer does not admit this incarnation: its disk was wiped, or it was removed
	codeEnd                      // one above the last code
)

var codeNames = [codeEnd]string{
	CodeVersion:  "version",
	CodeCluster:  "cluster",
	CodeName:     "name",
	CodeSelf:     "self",
	CodeIdentity: "identity",
	CodeAdmit:    "incarnation",
}

// String names the code in one word.
func (c Code) String() string {
	if c == 0 || c >= codeEnd {
		return fmt.Sprintf("code %d", uint8(c))
	}
	return codeNames[c]
}

// RefusedError says that a peer answered the hello with a refusal. Trying again is pointless until somebody changes
// something.
type RefusedError struct {
	Peer   string // the peer's name, or its address where the name is unknown
	Reason string // the peer's words
	Code   Code
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused by %s (%s): %s", e.Peer, e.Code, e.Reason)
}

// purpose says what a connection is for.
type purpose uint8

const (
	purposeMessages purpose = 1 + iota
	purposeSnapshot
	purposeProbe
)

const (
	wireVersion = 2

	preambleLen    = 8
	maxName        = 255
	maxReason      = 1024
	maxHello       = 8 + 8 + 4*(1+maxName)
	maxAnswer      = 2 + maxReason + maxHello
	recordOverhead = 8
)

// magic starts both directions of every connection. The layout of the preamble is the same in every version:
// magic, version, then purpose (caller) or code (answer, 0 = welcome).
var magic = [6]byte{'k', 'v', 'p', 'e', 'e', 'r'}

func (h *Hello) check() error {
	if len(h.Cluster) > maxName || len(h.Name) > maxName || len(h.To) > maxName || len(h.Addr) > maxName {
		return fmt.Errorf("a cluster or node name, or an address, is longer than %d bytes", maxName)
	}
	return nil
}

// appendHello appends h; h.check() must be nil.
func appendHello(b []byte, h *Hello) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Node))
	b = binary.LittleEndian.AppendUint64(b, h.Incarnation)
	for _, s := range [...]string{h.Cluster, h.Name, h.To, h.Addr} {
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	return b
}

func decodeHello(p []byte) (Hello, error) {
	if len(p) < 16 {
		return Hello{}, malformed("hello of %d bytes", len(p))
	}
	h := Hello{Node: raft.NodeID(binary.LittleEndian.Uint64(p)), Incarnation: binary.LittleEndian.Uint64(p[8:])}
	p = p[16:]
	for _, s := range [...]*string{&h.Cluster, &h.Name, &h.To, &h.Addr} {
		if len(p) == 0 || len(p) < 1+int(p[0]) {
			return Hello{}, malformed("hello is cut off")
		}
		n := int(p[0])
		*s, p = string(p[1:1+n]), p[1+n:]
	}
	if len(p) != 0 {
		return Hello{}, malformed("%d bytes behind the hello", len(p))
	}
	return h, nil
}

// appendCall appends everything the caller says first.
func appendCall(b []byte, p purpose, h *Hello) []byte {
	b = append(b, magic[:]...)
	b = append(b, wireVersion, byte(p))
	return appendRecord(b, appendHello(nil, h))
}

// appendAnswer appends everything the called side says: code 0 is a welcome.
func appendAnswer(b []byte, code Code, reason string, h *Hello) []byte {
	b = append(b, magic[:]...)
	b = append(b, wireVersion, byte(code))
	reason = reason[:min(len(reason), maxReason)]
	body := binary.LittleEndian.AppendUint16(nil, uint16(len(reason)))
	body = append(body, reason...)
	return appendRecord(b, appendHello(body, h))
}

func appendRecord(b, body []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...)
}

// readPreamble returns the version and the last byte: a purpose or a code.
func readPreamble(r io.Reader) (version, last byte, err error) {
	var b [preambleLen]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, err
	}
	if !bytes.Equal(b[:len(magic)], magic[:]) {
		return 0, 0, malformed("the connection starts with %q", b[:])
	}
	return b[6], b[7], nil
}

func readRecord(r io.Reader, limit int) ([]byte, error) {
	var b [recordOverhead]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(b[:])
	if int64(n) > int64(limit) {
		return nil, malformed("handshake record of %d bytes, the limit is %d", n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	if sum := crc32.Checksum(body, castagnoli); sum != binary.LittleEndian.Uint32(b[4:]) {
		return nil, malformed("checksum of the handshake record")
	}
	return body, nil
}

// readCall reads what appendCall wrote. A *RefusedError says that the caller must be answered with a refusal.
func readCall(r io.Reader) (purpose, Hello, error) {
	version, last, err := readPreamble(r)
	if err != nil {
		return 0, Hello{}, err
	}
	if version != wireVersion {
		reason := fmt.Sprintf("this node speaks version %d of the peer format, not %d", wireVersion, version)
		return 0, Hello{}, &RefusedError{Code: CodeVersion, Reason: reason}
	}
	p := purpose(last)
	if p < purposeMessages || p > purposeProbe {
		return 0, Hello{}, malformed("purpose %d", last)
	}
	body, err := readRecord(r, maxHello)
	if err != nil {
		return 0, Hello{}, err
	}
	h, err := decodeHello(body)
	return p, h, err
}

// readAnswer reads what appendAnswer wrote: the peer's hello, and a *RefusedError without Peer if it refused.
func readAnswer(r io.Reader) (Hello, error) {
	version, last, err := readPreamble(r)
	if err != nil {
		return Hello{}, err
	}
	code := Code(last)
	if version != wireVersion {
		reason := fmt.Sprintf("it speaks version %d of the peer format, this node %d", version, wireVersion)
		return Hello{}, &RefusedError{Code: CodeVersion, Reason: reason}
	}
	body, err := readRecord(r, maxAnswer)
	if err != nil {
		return Hello{}, err
	}
	if len(body) < 2 {
		return Hello{}, malformed("answer of %d bytes", len(body))
	}
	n := int(binary.LittleEndian.Uint16(body))
	if n > len(body)-2 || n > maxReason {
		return Hello{}, malformed("reason of %d bytes in an answer of %d", n, len(body))
	}
	h, err := decodeHello(body[2+n:])
	if err != nil {
		return Hello{}, err
	}
	if code != 0 {
		return h, &RefusedError{Code: code, Reason: string(body[2 : 2+n])}
	}
	return h, nil
}

// call dials addr and goes through the handshake. The caller owns the connection, which has no deadline left. A
// *RefusedError comes with the peer's hello and without a connection.
func call(ctx context.Context, addr string, p purpose, self Hello) (net.Conn, Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	d := net.Dialer{KeepAliveConfig: keepAlive}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, Hello{}, err
	}
	tune(conn)
	// The handshake does not look at ctx by itself: a cancelled context makes every read and write return.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	h, err := exchange(conn, p, &self)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		var refused *RefusedError
		if errors.As(err, &refused) {
			refused.Peer = self.To
			if refused.Peer == "" {
				refused.Peer = addr
			}
			return nil, h, err
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("handshake with %s: %w", addr, ctx.Err())
		}
		return nil, Hello{}, err
	}
	return conn, h, nil
}

func exchange(conn net.Conn, p purpose, self *Hello) (Hello, error) {
	if _, err := conn.Write(appendCall(nil, p, self)); err != nil {
		return Hello{}, err
	}
	h, err := readAnswer(conn)
	if err != nil {
		return h, err
	}
	if h.Cluster != self.Cluster {
		return h, fmt.Errorf("the answer comes from cluster %q", h.Cluster)
	}
	if self.To != "" && h.Name != self.To {
		return h, fmt.Errorf("the answer comes from node %q", h.Name)
	}
	return h, nil
}

// Probe dials addr, says hello and returns the peer's hello. self.To may be empty when the peer's name is not known
// yet. A *RefusedError comes with what the peer said of itself, any other error with a zero Hello. Any goroutine.
func Probe(ctx context.Context, addr string, self Hello) (Hello, error) {
	if err := self.check(); err != nil {
		return Hello{}, fmt.Errorf("transport: probe: %w", err)
	}
	conn, h, err := call(ctx, addr, purposeProbe, self)
	if err != nil {
		return h, fmt.Errorf("transport: probe %s: %w", addr, err)
	}
	return h, conn.Close()
}
