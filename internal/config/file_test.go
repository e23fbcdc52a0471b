package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// write puts files into a new directory and returns the name of the first.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		text := strings.ReplaceAll(files[i+1], "DIR", dir)
		require.NoError(t, os.WriteFile(filepath.Join(dir, files[i]), []byte(text), 0o600))
	}
	return filepath.Join(dir, files[0])
}

func load(t *testing.T, text string) (*Settings, error) {
	t.Helper()
	s := New()
	return s, s.LoadFile(write(t, "x.conf", text))
}

// A file as they are found on machines that ran Redis: quotes, units, several values on a line, repeated lines.
func TestFileOfRedis(t *testing.T) {
	s, err := load(t, `# A comment
   # an indented one, and a blank line

bind 127.0.0.1 -::1
PORT	7001
requirepass "a \"quoted\" \x41 #1"
masteruser 'it\'s'
dir '/var/lib/kv app'
save 3600 1
save 300 100
maxmemory 100mb
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit replica 256mb 64mb 30
client-output-buffer-limit pubsub 1mb 512kb 10
notify-keyspace-events ""
oom-score-adj-values 0 200 800
latency-tracking-info-percentiles 50 99.9
proc-title-template "{title} {listen-addr}"
list-max-ziplist-size -3
supervised systemd
daemonize yes
appendonly no
appendfsync everysec
shutdown-on-sigterm NOSAVE force
timeout 5
timeout 7
`)
	require.NoError(t, err)
	for name, want := range map[string]string{
		"bind": "127.0.0.1 -::1", "port": "7001", "requirepass": `a "quoted" A #1`, "masteruser": "it's",
		"dir": "/var/lib/kv app", "maxmemory": "104857600", "notify-keyspace-events": "",
		"client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 30 pubsub 1048576 524288 10",
		"oom-score-adj-values":       "0 200 800", "latency-tracking-info-percentiles": "50 99.9",
		"proc-title-template": "{title} {listen-addr}", "list-max-listpack-size": "-2", "timeout": "7",
		"shutdown-on-sigterm": "nosave force",
		// What this server does anyway is what it says, whatever the file wants.
		"save": "", "appendonly": "yes", "appendfsync": "always", "daemonize": "no", "supervised": "no",
	} {
		require.Equal(t, want, s.Get(name), name)
	}
	require.Equal(t, []string{"127.0.0.1", "-::1"}, s.Words("bind"))
	require.Equal(t, []string{
		"appendfsync", "appendonly", "daemonize", "latency-tracking-info-percentiles", "list-max-listpack-size",
		"proc-title-template", "save", "shutdown-on-sigterm", "supervised",
	}, s.Ignored())
}

func TestFileErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"\n\nport":                              "line 3: port: wrong number of arguments",
		"port 1 2":                              "line 1: port: wrong number of arguments",
		"port ''":                               `line 1: port = "": argument couldn't be parsed into an integer`,
		"port 7o":                               `line 1: port = "7o": argument couldn't be parsed into an integer`,
		"appendfsync often":                     `line 1: appendfsync = "often": argument(s) must be one of the following: everysec, always, no`,
		"shutdown-on-sigint nosave soon":        "argument(s) must be one of",
		`shutdown-on-sigint ""`:                 "argument(s) must be one of",
		"Maxclient 1":                           `line 1: Maxclient: unknown setting, did you mean "maxclients"?`,
		"requirepass \"x":                       "line 1: unbalanced quotes",
		"masteruser 'it''s'":                    "line 1: unbalanced quotes",
		"include":                               "line 1: include: wrong number of arguments",
		"include a b":                           "line 1: include: wrong number of arguments",
		"include /no/such/file":                 "line 1: include: open /no/such/file: no such file or directory",
		"include [":                             "line 1: include: syntax error in pattern",
		"client-output-buffer-limit normal 1 1": "line 1: client-output-buffer-limit",
		// What would weaken the server or change what it does is not passed over.
		"rename-command FLUSHALL ''": "line 1: rename-command: commands cannot be renamed",
		"user default off":           "line 1: user: access control lists are not supported",
		"loadmodule x.so":            "line 1: loadmodule: modules are not supported",
		"aclfile users.acl":          `line 1: aclfile = "users.acl": access control lists are not supported`,
		"tls-port 6380":              `line 1: tls-port = "6380": TLS is not supported`,
		"replicaof 10.0.0.1 6379":    `line 1: replicaof = "10.0.0.1 6379": a node joins by --cluster`,
		"slaveof 10.0.0.1 6379":      `line 1: slaveof = "10.0.0.1 6379": a node joins by --cluster`,
	} {
		_, err := load(t, text)
		require.ErrorContains(t, err, want, text)
	}
	s, err := load(t, "tls-port 0\naclfile ''\nreplicaof ''\n")
	require.NoError(t, err, "their defaults are no request")
	require.Empty(t, s.Ignored())
	require.Error(t, New().LoadFile(filepath.Join(t.TempDir(), "none")))
	require.Error(t, New().LoadFile(t.TempDir()), "a directory")
	_, err = load(t, "requirepass "+strings.Repeat("x", 2<<20))
	require.ErrorContains(t, err, "too long")
}

func TestInclude(t *testing.T) {
	s := New()
	require.NoError(t, s.LoadFile(write(t,
		"main.conf", "port 1\ninclude DIR/more.conf\ntimeout 3\ninclude DIR/conf-*.inc\ninclude DIR/none-*.inc\n",
		"more.conf", "port 2\ntimeout 2\n",
		"conf-b.inc", "hz 2\n", "conf-a.inc", "hz 1\n",
	)))
	require.Equal(t, "2", s.Get("port"), "a later line wins")
	require.Equal(t, "3", s.Get("timeout"))
	require.Equal(t, "2", s.Get("hz"), "in order of the names")

	err := New().LoadFile(write(t, "main.conf", "\ninclude DIR/bad.conf\n", "bad.conf", "\n\nport x\n"))
	require.Regexp(t, `main\.conf line 2: include: .*bad\.conf line 3: port = "x"`, err.Error())
	err = New().LoadFile(write(t, "loop.conf", "include DIR/loop.conf\n"))
	require.ErrorContains(t, err, fmt.Sprintf("more than %d files include each other", maxIncludes))
}

func TestEnvironment(t *testing.T) {
	s := New()
	require.NoError(t, s.LoadEnv([]string{
		"HOME=/x", "KVAPP_READ_MODE=quorum", "KVAPP_BIO_CPULIST=1", "KVAPP_REQUIREPASS=a=b c", "kvapp_port=1",
	}))
	require.Equal(t, "quorum", s.Get("read-mode"))
	require.Equal(t, "1", s.Get("bio_cpulist"))
	require.Equal(t, "a=b c", s.Get("requirepass"))
	require.Equal(t, "6379", s.Get("port"))
	require.ErrorContains(t, s.LoadEnv([]string{"KVAPP_"}), "unknown setting")
}

func TestIgnoredFollowsTheLastWord(t *testing.T) {
	s := New()
	require.NoError(t, s.Set("hz", "100"))
	require.NoError(t, s.Set("timeout", "100"))
	require.Equal(t, []string{"hz"}, s.Ignored())
	require.NoError(t, s.Set("hz", "10"))
	require.Empty(t, s.Ignored())
}

func TestMatch(t *testing.T) {
	s := New()
	require.Equal(t, [][2]string{{"maxmemory", "0"}}, s.Match("MAXMEMORY"))
	require.Equal(t, [][2]string{{"min-replicas-max-lag", "10"}, {"min-slaves-max-lag", "10"}}, s.Match("min-*-max-lag"))
	require.Len(t, s.Match("*"), len(Names()))
	require.Empty(t, s.Match("none"))
	require.Empty(t, s.Match("[a"))
}
