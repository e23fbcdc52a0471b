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
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return done
	case errors.As(err, &op) && op.Op == "dial":
		return never
	case errors.As(err, &reply):
		word, _, _ := strings.Cut(reply.Error(), " ")
		switch word {
		case "MOVED", "CLUSTERDOWN", "TRYAGAIN", "LOADING":
			return never
		case "UNCERTAIN":
			return unknown
		}
		return wrong
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, context.DeadlineExceeded):
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

// manyDials is a pool size that is never reached: after that many failed dials go-redis answers with the last failure
// for a second, without dialling.
const manyDials = 1 << 12

// newSession returns a session that begins at node first and waits up to limit for an answer.
func newSession(c *cluster.Cluster, first int, limit time.Duration) *session {
	s := &session{c: c, at: first - 1, limit: limit}
	for _, addr := range c.Addrs() {
		s.conns = append(s.conns, redis.NewClient(&redis.Options{
			Addr: addr, PoolSize: manyDials, MaxRetries: -1, DialTimeout: time.Second, DialerRetries: 1,
			ReadTimeout: limit, WriteTimeout: limit, PoolTimeout: limit,
		}))
	}
	return s
}

func (s *session) close() {
	for _, cl := range s.conns {
		_ = cl.Close() // nothing is pending
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
	s.at = (s.at + 1) % len(s.conns)
}

// do sends one command to one node, once.
func (s *session) do(args ...any) (any, error) {
	v, err := s.conns[s.at].Do(context.Background(), args...).Result()
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
