//go:build !unix

package nonblock

import "net"

// Writer does not exist here: New returns nil.
type Writer struct{}

// New returns nil.
func New(net.Conn) *Writer { return nil }

// Write is never called.
func (*Writer) Write([]byte) (int, error) { return 0, nil }

// Read is never called.
func (*Writer) Read([]byte) int { return 0 }

// Discard is never called.
func (*Writer) Discard() {}

// Reader reads a connection.
type Reader struct{ net.Conn }

// NewReader returns a Reader for conn.
func NewReader(conn net.Conn) *Reader { return &Reader{conn} }
