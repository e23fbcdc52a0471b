//go:build !linux

package transport

import "net"

// setUserTimeout has no portable form; keepalive and the write deadline must do.
func setUserTimeout(*net.TCPConn, int) {}
