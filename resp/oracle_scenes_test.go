//go:build oracle

package resp

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A scene is what several connections do, one step after the other: "a: command" sends and notes the reply, "a> command"
// only sends, "a< n" notes n replies, "a!" notes whether the server has closed the connection, "a- command" sends and
// expects that no reply comes before that of the next one; "a wait b" waits until one connection is blocked, "a wait 2" until two are,
// "a sleep n" for n ms, for what is due then. $a.id, $a.addr and $a.laddr stand for facts of a connection.
var scenes = map[string][]string{
	"kill by id":              {"a: PING", "b: PING", "a: CLIENT KILL ID $b.id", "b!", "a: CLIENT KILL ID $b.id", "a: CLIENT KILL ID $a.id", "a: CLIENT KILL ID $a.id SKIPME no", "a!"},
	"kill by address":         {"a: PING", "b: PING", "a: CLIENT KILL $b.addr", "b!", "a: CLIENT KILL $b.addr", "a: CLIENT KILL $a.addr", "a!"},
	"kill by addresses":       {"a: PING", "b: PING", "a: CLIENT KILL ADDR $b.addr LADDR 1:1", "a: CLIENT KILL ADDR $b.addr LADDR $b.laddr", "b!", "a: PING"},
	"kill by type and user":   {"a: PING", "b: PING", "c: PING", "a: CLIENT KILL TYPE normal USER default ID $c.id", "c!", "a: CLIENT KILL USER default TYPE normal", "b!", "a: PING"},
	"kill all":                {"a: PING", "b: PING", "a: CLIENT KILL TYPE normal SKIPME no", "b!", "a!"},
	"kill after commands":     {"a: PING", "a> PING", "a> CLIENT KILL $a.addr", "a> PING", "a< 2", "a!"},
	"quit":                    {"a> PING", "a> QUIT", "a> PING", "a< 2", "a!"},
	"list by id":              {"a: CLIENT SETNAME a", "b: CLIENT SETNAME b", "c: CLIENT SETNAME c", "a: CLIENT LIST ID $c.id $a.id 99999 $c.id", "a: CLIENT LIST ID $b.id", "a: CLIENT LIST TYPE normal"},
	"flags":                   {"a: READONLY", "a: CLIENT NO-EVICT on", "a: CLIENT INFO", "a: READWRITE", "a: CLIENT INFO", "a: RESET", "a: CLIENT INFO"},
	"reset":                   {"a: HELLO 3 SETNAME x", "a: READONLY", "a: CLIENT INFO", "a: RESET", "a: CLIENT INFO", "a: CLIENT GETNAME", "a: CLIENT TRACKINGINFO"},
	"commands noted":          {"b: FOO", "a: CLIENT LIST ID $b.id", "b: GET", "a: CLIENT LIST ID $b.id", "b: CLIENT FOO", "a: CLIENT LIST ID $b.id", "b: CLIENT GETNAME", "a: CLIENT LIST ID $b.id", "b: GET x", "a: CLIENT LIST ID $b.id"},
	"reply off":               {"a- CLIENT REPLY OFF", "a- PING", "a- FOO", "a- GET", "a: CLIENT REPLY ON", "a: PING"},
	"reply skip":              {"a- CLIENT REPLY SKIP", "a- PING", "a: PING x", "a- CLIENT REPLY SKIP", "a- FOO", "a: PING y", "a- CLIENT REPLY SKIP", "a- CLIENT REPLY SKIP", "a- PING", "a: PING z"},
	"reply skip while off":    {"a- CLIENT REPLY OFF", "a- CLIENT REPLY SKIP", "a- PING", "a- PING", "a: CLIENT REPLY ON", "a: PING"},
	"reply with errors":       {"a- CLIENT REPLY OFF", "a- CLIENT REPLY FOO", "a- CLIENT", "a: CLIENT REPLY ON", "a: PING"},
	"reply and reset":         {"a- CLIENT REPLY OFF", "a: RESET", "a: PING"},
	"reply skip and reset":    {"a- CLIENT REPLY SKIP", "a- RESET", "a: PING"},
	"pause writes":            {"b: SET a 1", "a: CLIENT PAUSE 100000 WRITE", "b: GET a", "b: TTL a", "b: DBSIZE", "b> SET a 2", "a wait b", "a: CLIENT LIST ID $b.id", "a: CLIENT UNPAUSE", "b< 1", "a: GET a"},
	"pause in a pipeline":     {"a: CLIENT PAUSE 100000 WRITE", "b> GET x", "b> TTL x", "b> PING", "b> SET x 1", "b> GET x", "b< 3", "a wait b", "a: CLIENT UNPAUSE", "b< 2"},
	"pause of everything":     {"a: CLIENT PAUSE 300 ALL", "b> PING", "b< 1", "a: PING"},
	"a weaker pause":          {"a: CLIENT PAUSE 100000 WRITE", "a: CLIENT PAUSE 1 WRITE", "b> SET x 1", "a wait b", "a: CLIENT UNPAUSE", "b< 1"},
	"the blocked are counted": {"a: CLIENT PAUSE 100000 WRITE", "b> SET x 1", "a wait b", "a: CLIENT KILL ID $b.id", "b!", "a: CLIENT UNPAUSE", "a: GET x"},
}

// facts are fields of CLIENT LIST that cannot be equal; the sizes of buffers are those of Redis' own.
var facts = regexp.MustCompile(` (id|addr|laddr|fd|age|idle|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|tot-mem)=\S*`)

// lib are fields that Redis 7.0 does not have.
var lib = regexp.MustCompile(` lib-name=\S* lib-ver=\S*`)

func normal(reply string) string {
	if strings.Contains(reply, " laddr=") {
		_, reply, _ = strings.Cut(reply, "\r\n")
		reply = lib.ReplaceAllString(facts.ReplaceAllString(" "+strings.ReplaceAll(reply, "id=", " id="), ""), "")
	}
	if strings.Contains(reply, "\r\nserver\r\n") {
		return "greeting"
	}
	return reply
}

// perform returns the notes of a scene.
func perform(t *testing.T, addr string, steps []string) (notes []string) {
	all := make(map[string]*client)
	who := func(name string) *client {
		if all[name] == nil {
			all[name] = dial(t, addr)
		}
		return all[name]
	}
	for _, step := range steps {
		who(step[:1])
	}
	require.Eventually(t, func() bool { // scenes look at all connections: the earlier ones must be gone
		return strings.Count(all["a"].do("CLIENT LIST"), "id=") == len(all)
	}, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, "+OK\r\n", all["a"].do("FLUSHALL"))
	ids := make(map[string]string)
	for _, name := range []string{"a", "b", "c"} {
		if c := all[name]; c != nil {
			ids["$"+name+".id"] = strings.TrimSpace(c.do("CLIENT ID")[1:])
			ids["$"+name+".addr"] = c.nc.LocalAddr().String()
			ids["$"+name+".laddr"] = c.nc.RemoteAddr().String()
		}
	}
	for _, step := range steps {
		name, kind, line := step[:1], step[1], strings.TrimSpace(step[2:])
		for _, k := range []string{"a", "b", "c"} {
			for _, f := range []string{".laddr", ".addr", ".id"} {
				line = strings.ReplaceAll(line, "$"+k+f, ids["$"+k+f])
			}
		}
		c := who(name)
		switch kind {
		case ':':
			notes = append(notes, step+" -> "+normal(c.ask(splitLine(t, line)...)))
		case '>', '-':
			c.send(line)
		case '<':
			n := 0
			_, err := fmt.Sscan(line, &n)
			require.NoError(t, err)
			for range n {
				notes = append(notes, step+" -> "+normal(c.reply()))
			}
		case '!':
			c.closed()
		case ' ': // a wait b, a sleep 10
			if ms := 0; strings.HasPrefix(line, "sleep") {
				_, err := fmt.Sscan(line[5:], &ms)
				require.NoError(t, err)
				due := time.Now().Add(time.Duration(ms) * time.Millisecond)
				require.Eventually(t, func() bool { return time.Now().After(due) }, 10*time.Second, time.Millisecond)
				continue
			}
			count := "1"
			if n := line[len("wait "):]; n >= "0" && n <= "9" {
				count = n
			}
			require.Eventually(t, func() bool {
				return strings.Contains(c.do("INFO clients"), "\r\nblocked_clients:"+count+"\r\n")
			}, 10*time.Second, time.Millisecond)
		}
	}
	for _, c := range all {
		_ = c.nc.Close()
	}
	return notes
}

func TestScenesAsRedis(t *testing.T) {
	theirs := clusterOracle(t)
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	for name, steps := range scenes {
		t.Run(name, func(t *testing.T) {
			want := perform(t, theirs, steps)
			require.Equal(t, want, perform(t, addrOf(s), steps))
		})
	}
}
