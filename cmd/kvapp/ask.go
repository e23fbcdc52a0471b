package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/tidwall/redcon"

	"kvapp/internal/config"
)

// replyError is an error that a node answered; its first word says of which kind.
type replyError string

func (e replyError) Error() string { return string(e) }

// final says that asking again is pointless until somebody changes something. What asks for patience has a word of its
// own: CLUSTERDOWN, LOADING, TRYAGAIN, UNCERTAIN.
func (e replyError) final() bool {
	switch word, _, _ := strings.Cut(string(e), " "); word {
	case "ERR", "NOAUTH", "NOPERM", "WRONGPASS", "DENIED":
		return true
	}
	return false
}

const (
	// askLimit is how long another node may take to answer: longer than a change of the membership waits there.
	askLimit  = 15 * time.Second
	dialLimit = 2 * time.Second
	// maxReply bounds what is read of an answer; RAFT STATUS of the largest cluster is a tenth of it.
	maxReply = 1 << 20
)

// askNode sends one command to the client port of another node and returns the answer; one that is an error is a replyError.
func askNode(ctx context.Context, set *config.Settings, addr string, command ...string) (redcon.RESP, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	d := net.Dialer{Timeout: dialLimit}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return redcon.RESP{}, err
	}
	defer conn.Close() //nolint:errcheck // the answer has come, or it will not be waited for
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if auth := credentials(set); auth != nil {
		if _, err := exchange(conn, auth); err != nil {
			return redcon.RESP{}, fmt.Errorf("AUTH with masterauth or requirepass: %w", err)
		}
	}
	r, err := exchange(conn, command)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer to %s: %w", command[0], context.Cause(ctx))
	}
	return r, err
}

// credentials is the AUTH command for the other nodes of the cluster, nil without a password.
func credentials(set *config.Settings) []string {
	pass := set.Get("masterauth")
	if pass == "" {
		pass = set.Get("requirepass")
	}
	switch user := set.Get("masteruser"); {
	case pass == "":
		return nil
	case user != "":
		return []string{"AUTH", user, pass}
	default:
		return []string{"AUTH", pass}
	}
}

// exchange sends one command and reads one reply.
func exchange(conn net.Conn, command []string) (redcon.RESP, error) {
	b := redcon.AppendArray(nil, len(command))
	for _, word := range command {
		b = redcon.AppendBulkString(b, word)
	}
	if _, err := conn.Write(b); err != nil {
		return redcon.RESP{}, err
	}
	var reply []byte
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		reply = append(reply, buf[:n]...)
		if size, r := redcon.ReadNextRESP(reply); size > 0 {
			if r.Type == redcon.Error {
				return r, replyError(r.Data)
			}
			return r, nil
		}
		if err != nil {
			return redcon.RESP{}, err
		}
		if len(reply) > maxReply {
			return redcon.RESP{}, errors.New("the answer makes no sense")
		}
	}
}

// failureText is an error without what differs between two attempts, the port numbers.
func failureText(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + " " + op.Err.Error()
	}
	return err.Error()
}
