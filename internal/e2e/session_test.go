package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"kvapp/internal/e2e/cluster"
)

// verdict is what a client knows of its command after the answer.
type verdict int

const (
	done    verdict = iota // executed, the reply tells how
	never                  // certainly not executed, now or later
	unknown                // it may be executed, even later
	wrong                  // an answer that nothing in these tests may get
)

// judge reads the verdict off an error of go-redis.
func judge(err error) verdict {
	var reply redis.Error
	var op *net.OpError
	var broken net.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return done
	case errors.As(err, &op) && op.Op == "dial":
		return never
	case errors.As(err, &reply):
		word, _, _ := strings.Cut(reply.Error(), " ")
		switch word {
		case "MOVED", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "UNBLOCKED", "EXECABORT":
			return never
		case "UNCERTAIN":
			return unknown
		}
		return wrong
	case errors.As(err, &broken), errors.Is(err, io.EOF):
		return unknown
	}
	return wrong
}

// session is a client with one connection per node that repeats nothing by itself. It asks one node until that is no
// longer the right one.
type session struct {
	c     *cluster.Cluster
	conns []*redis.Client
	at    int // index of the node to ask
	limit time.Duration
}

// newSession returns a session that begins at node first and waits up to limit for an answer.
func newSession(c *cluster.Cluster, first int, limit time.Duration) *session {
	return &session{c: c, conns: make([]*redis.Client, c.Nodes()), at: first - 1, limit: limit}
}

// client is the connection to the node to ask, made when it is first needed.
func (s *session) client() *redis.Client {
	if s.conns[s.at] == nil {
		s.conns[s.at] = redis.NewClient(&redis.Options{
			Addr: s.c.Addr(s.at + 1), PoolSize: 1, MaxRetries: -1, DialTimeout: time.Second, DialerRetries: 1,
			ReadTimeout: s.limit, WriteTimeout: s.limit, PoolTimeout: s.limit, ContextTimeoutEnabled: true,
		})
	}
	return s.conns[s.at]
}

func (s *session) close() {
	for i := range s.conns {
		s.drop(i)
	}
}

func (s *session) drop(i int) {
	if s.conns[i] != nil {
		_ = s.conns[i].Close() // nothing is pending
		s.conns[i] = nil
	}
}

// route decides whom to ask next after err.
func (s *session) route(err error) {
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	if word, rest, _ := strings.Cut(err.Error(), " "); word == "MOVED" {
		_, addr, _ := strings.Cut(rest, " ")
		if i := slices.Index(s.c.Addrs(), addr); i >= 0 {
			s.at = i
			return
		}
	}
	if judge(err) == never {
		s.drop(s.at) // after a failed dial go-redis does not dial again for a second
	}
	s.at = (s.at + 1) % len(s.conns)
}

// do sends one command to one node, once.
func (s *session) do(args ...any) (any, error) {
	v, err := s.client().Do(context.Background(), args...).Result()
	s.route(err)
	return v, err
}

// insist repeats a command that certainly was not executed, and a read also otherwise, until limit has passed.
func (s *session) insist(limit time.Duration, args ...any) (v any, err error) {
	err = cluster.Until(limit, "a node answers", func() error {
		v, err = s.do(args...)
		if judge(err) == done || judge(err) == wrong {
			return nil
		}
		return err
	})
	return v, err
}
