package main

import (
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// twoAddresses are addresses of this machine: 127.0.0.2 exists on Linux without being set up, elsewhere IPv6 does for
// the second.
func twoAddresses(t *testing.T) [2]string {
	t.Helper()
	for _, second := range []string{"127.0.0.2", "::1"} {
		if l, err := net.Listen("tcp", net.JoinHostPort(second, "0")); err == nil {
			require.NoError(t, l.Close())
			return [2]string{"127.0.0.1", second}
		}
	}
	t.Fatal("this machine has one loopback address only")
	return [2]string{}
}

func dialed(t *testing.T, l net.Listener, addr string) net.Conn {
	t.Helper()
	client, err := net.DialTimeout("tcp", addr, 5*time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	server, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	require.Equal(t, client.LocalAddr().String(), server.RemoteAddr().String())
	return server
}

func TestListenOnSeveralAddresses(t *testing.T) {
	addrs, port := twoAddresses(t), strconv.Itoa(cluster.Ports(t, 1)[0])
	l, err := listenAll([]string{addrs[0], "-" + addrs[1]}, port)
	require.NoError(t, err)
	require.Equal(t, net.JoinHostPort(addrs[0], port), l.Addr().String())
	for range 3 {
		dialed(t, l, net.JoinHostPort(addrs[0], port))
		dialed(t, l, net.JoinHostPort(addrs[1], port))
	}
	require.False(t, open(l))

	// Close ends an Accept that waits, and a client nobody has accepted.
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
	require.ErrorIs(t, l.Close(), net.ErrClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	for _, a := range addrs {
		_, err := net.DialTimeout("tcp", net.JoinHostPort(a, port), time.Second)
		require.Error(t, err, "nothing listens any more")
	}
}

func TestListenSkipsWhatMayBeMissing(t *testing.T) {
	port := strconv.Itoa(cluster.Ports(t, 1)[0])
	// 192.0.2.0/24 is kept for documentation: no machine has it.
	l, err := listenAll([]string{"127.0.0.1", "-192.0.2.1"}, port)
	require.NoError(t, err)
	require.IsType(t, &net.TCPListener{}, l)
	require.NoError(t, l.Close())
	_, err = listenAll([]string{"127.0.0.1", "192.0.2.1"}, port)
	require.Error(t, err)
	_, err = listenAll([]string{"-192.0.2.1"}, port)
	require.ErrorContains(t, err, "none of the addresses")
	// A port that is taken is an error also at an address that may be missing, and nothing stays open after it.
	taken, err := net.Listen("tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	_, err = listenAll([]string{"-127.0.0.1"}, port)
	require.ErrorContains(t, err, "address already in use")
	require.NoError(t, taken.Close())
	l, err = listenAll([]string{"127.0.0.1"}, port)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestOpenListener(t *testing.T) {
	l, err := listenAll([]string{"*"}, "0")
	require.NoError(t, err)
	require.True(t, open(l))
	require.Equal(t, "0.0.0.0", l.Addr().(*net.TCPAddr).IP.String())
	inner, err := listenAll([]string{"127.0.0.1"}, "0")
	require.NoError(t, err)
	require.False(t, open(inner))
	both := newListeners([]net.Listener{inner, l})
	require.True(t, open(both))
	require.NoError(t, both.Close())
}

// failing is a listener whose Accept fails once.
type failing struct {
	net.Listener
	errs chan error
}

func (f failing) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

func TestListenersGoOnAfterAFailure(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := failing{inner, make(chan error, 1)}
	f.errs <- errors.New("too many open files")
	ls := newListeners([]net.Listener{f})
	_, err = ls.Accept()
	require.EqualError(t, err, "too many open files")
	dialed(t, ls, inner.Addr().String())
	require.NoError(t, ls.Close())
}
