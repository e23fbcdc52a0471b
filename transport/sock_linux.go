package transport

import (
	"net"
	"syscall"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall does not name.
const tcpUserTimeout = 0x12

// setUserTimeout ends a connection whose bytes stay unacknowledged for ms milliseconds. Without it the kernel backs
// off its retransmissions to two minutes, and a healed partition would stay cut for that long.
func setUserTimeout(conn *net.TCPConn, ms int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return // closed already: the next read or write says so
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, ms)
	})
}
