// Package nonblock writes to sockets, and reads them, without waiting: what the kernel does not take or have at once is
// left to the caller. It owns nothing; a Writer belongs to whoever holds it, one goroutine at a time.
package nonblock
