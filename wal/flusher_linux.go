package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flusher runs fdatasync(2) in the kernel's background, by Linux' asynchronous I/O (io_submit(2), IOCB_CMD_FDSYNC, Linux
// 4.18), and waits for it in the network poller, like a read from a socket. One goroutine at a time uses it.
type flusher struct {
	ctx     uintptr               // of io_setup
	done    *os.File              // eventfd, written to by the kernel when a request has ended, and never read: every write wakes the poller
	ready   syscall.RawConn       // of done
	step    func(fd uintptr) bool // submits the request, and when it is called again, fetches the result
	eventFD uint32                // of done
	fd      int                   // of path; -1: none. An error of the file's write-back is told to this descriptor.
	path    string
	broken  bool // the kernel may still be busy with a request: not to be used again

	// Memory that the kernel reads and writes during the calls.
	request  *iocb
	requests [1]unsafe.Pointer
	event    *ioEvent
	sent     bool  // the request was submitted
	err      error // of the calls of step
}

// iocb is struct iocb of linux/aio_abi.h on a little-endian machine.
type iocb struct {
	data    uint64
	key     uint32
	rwFlags uint32
	op      uint16
	prio    int16
	fd      uint32
	buf     uint64
	bytes   uint64
	offset  int64
	_       uint64
	flags   uint32
	eventFD uint32
}

// ioEvent is struct io_event.
type ioEvent struct {
	data, object uint64
	result, _    int64
}

const (
	opDataSync  = 3 // IOCB_CMD_FDSYNC
	flagEventFD = 1 // IOCB_FLAG_RESFD
)

// idle are flushers that were closed. They are kept because io_destroy(2) waits for a grace period of the kernel, tens of
// milliseconds; a process has as many as it ever had logs open at the same time.
var idle struct {
	sync.Mutex
	list []*flusher
}

// newFlusher fails where the system does not offer it or does not allow it.
func newFlusher() (*flusher, error) {
	idle.Lock()
	defer idle.Unlock()
	if n := len(idle.list); n > 0 {
		f := idle.list[n-1]
		idle.list = idle.list[:n-1]
		return f, nil
	}
	return makeFlusher()
}

func makeFlusher() (*flusher, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.ErrUnsupported // iocb has another layout
	}
	f := &flusher{request: new(iocb), event: new(ioEvent), fd: -1}
	f.requests[0] = unsafe.Pointer(f.request)
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&f.ctx)), 0); errno != 0 {
		return nil, os.NewSyscallError("io_setup", errno)
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, f.ctx, 0, 0) // the error that counts is the other
		return nil, os.NewSyscallError("eventfd", err)
	}
	f.eventFD, f.done = uint32(fd), os.NewFile(uintptr(fd), "eventfd")
	f.step = func(uintptr) bool { return f.proceed() }
	if f.ready, err = f.done.SyscallConn(); err != nil {
		_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, f.ctx, 0, 0)
		return nil, errors.Join(err, f.done.Close())
	}
	return f, nil
}

// sync makes the file at path durable: its data, and what of its metadata is needed to read them.
func (f *flusher) sync(path string) error {
	if path != f.path {
		if err := f.open(path); err != nil {
			return err
		}
	}
	*f.request = iocb{op: opDataSync, fd: uint32(f.fd), flags: flagEventFD, eventFD: f.eventFD}
	f.sent, f.err = false, nil
	if err := f.ready.Read(f.step); err != nil {
		return err
	}
	if f.err != nil {
		return fmt.Errorf("%s: %w", path, f.err)
	}
	if f.event.result < 0 {
		return &os.PathError{Op: "fdatasync", Path: path, Err: unix.Errno(-f.event.result)}
	}
	return nil
}

// proceed is called by the poller: at once, and then whenever the eventfd was written to. It says whether the request is done.
// The poller has forgotten earlier writes before the first call, so the request is submitted in it and not before.
//
// Raw calls: neither of the two waits, so the scheduler need not hear of them.
func (f *flusher) proceed() bool {
	if !f.sent {
		f.sent = true
		n, errno := f.ask(unix.SYS_IO_SUBMIT, 1, uintptr(unsafe.Pointer(&f.requests)), 0)
		if n != 1 {
			f.err = os.NewSyscallError("io_submit", errno)
			return true
		}
		f.broken = true
		return false
	}
	n, errno := f.ask(unix.SYS_IO_GETEVENTS, 0, 1, uintptr(unsafe.Pointer(f.event)))
	if errno != 0 {
		f.err = os.NewSyscallError("io_getevents", errno)
		return true
	}
	f.broken = n != 1
	return n == 1
}

// ask makes a system call on the context of the requests. A signal, as the runtime sends them to its threads, ends a call that has
// found nothing with EINTR: it is asked again, for an error of the log would be the end of the process. What a, b and c point to is
// part of f or outside of the heap: nothing of it moves.
func (f *flusher) ask(call, a, b, c uintptr) (n uintptr, errno unix.Errno) {
	for {
		if n, _, errno = unix.RawSyscall6(call, f.ctx, a, b, c, 0, 0); errno != unix.EINTR {
			return n, errno
		}
	}
}

// open makes path the file that sync flushes.
func (f *flusher) open(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	err = f.forget()
	f.fd, f.path = fd, path
	return err
}

// forget makes the next sync open its file anew. It must be called when another file may have come to bear the path.
func (f *flusher) forget() error {
	if f.fd < 0 {
		return nil
	}
	old := f.fd
	f.fd, f.path = -1, ""
	return os.NewSyscallError("close", unix.Close(old))
}

// close ends the use of the flusher. REQUIRES: no sync is under way.
func (f *flusher) close() error {
	err := f.forget()
	if !f.broken {
		idle.Lock()
		defer idle.Unlock()
		idle.list = append(idle.list, f)
	}
	return err
}
