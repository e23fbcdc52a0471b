package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
)

// listenAll listens on one port of every address in the form of Redis' bind: * and ::* are all addresses of IPv4 and
// IPv6, and one that begins with - may be missing on this machine.
func listenAll(addrs []string, port string) (net.Listener, error) {
	var list []net.Listener
	for _, text := range addrs {
		host, optional := strings.CutPrefix(text, "-")
		network := "tcp"
		switch host {
		case "*":
			network, host = "tcp4", "0.0.0.0"
		case "::*":
			network, host = "tcp6", "::"
		}
		l, err := net.Listen(network, net.JoinHostPort(host, port))
		if err != nil && optional && missing(err) {
			continue
		}
		if err != nil {
			for _, l := range list {
				err = errors.Join(err, l.Close())
			}
			return nil, err
		}
		list = append(list, l)
	}
	switch len(list) {
	case 0:
		return nil, fmt.Errorf("none of the addresses %q is on this machine", strings.Join(addrs, " "))
	case 1:
		return list[0], nil
	}
	return newListeners(list), nil
}

// missing reports whether an address or its whole family is not there.
func missing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// listeners makes one listener of several: one goroutine each accepts, and hands over before it accepts again.
type listeners struct {
	list     []net.Listener
	accepted chan acceptance
	closed   chan struct{}
	once     sync.Once
	wg       sync.WaitGroup
}

type acceptance struct {
	conn net.Conn
	err  error
}

func newListeners(list []net.Listener) *listeners {
	ls := &listeners{list: list, accepted: make(chan acceptance), closed: make(chan struct{})}
	for _, l := range list {
		ls.wg.Go(func() { ls.accept(l) })
	}
	return ls
}

func (ls *listeners) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		select {
		case ls.accepted <- acceptance{conn, err}:
		case <-ls.closed:
			if conn != nil {
				_ = conn.Close() // nobody will serve it
			}
			return
		}
	}
}

// Accept implements net.Listener. An error is one listener's; the others go on.
func (ls *listeners) Accept() (net.Conn, error) {
	select {
	case a := <-ls.accepted:
		return a.conn, a.err
	case <-ls.closed:
		return nil, net.ErrClosed
	}
}

// Addr is the first address.
func (ls *listeners) Addr() net.Addr { return ls.list[0].Addr() }

// Close implements net.Listener.
func (ls *listeners) Close() error {
	err := net.ErrClosed
	ls.once.Do(func() {
		close(ls.closed)
		err = nil
		for _, l := range ls.list {
			err = errors.Join(err, l.Close())
		}
		ls.wg.Wait()
	})
	return err
}

// open reports whether other machines can reach the listener.
func open(l net.Listener) bool {
	if ls, ok := l.(*listeners); ok {
		for _, one := range ls.list {
			if open(one) {
				return true
			}
		}
		return false
	}
	tcp, ok := l.Addr().(*net.TCPAddr)
	return !ok || !tcp.IP.IsLoopback()
}
