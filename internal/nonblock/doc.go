// Package nonblock writes to sockets without waiting for them: what the kernel does not take at once is left to the
// caller. It owns nothing; a Writer belongs to whoever holds it, one goroutine at a time.
package nonblock
