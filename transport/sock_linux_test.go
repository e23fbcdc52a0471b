package transport

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Both ends of a peer connection give up on bytes that nobody acknowledges.
func TestUserTimeoutIsSet(t *testing.T) {
	b := startNode(t, 2, "")
	tcp, ok := dialAs(t, b, purposeMessages).(*net.TCPConn)
	require.True(t, ok)
	raw, err := tcp.SyscallConn()
	require.NoError(t, err)
	var ms int
	require.NoError(t, raw.Control(func(fd uintptr) {
		ms, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
	}))
	require.NoError(t, err)
	require.Equal(t, userTimeout, time.Duration(ms)*time.Millisecond)
}
