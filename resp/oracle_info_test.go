//go:build oracle

package resp

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/node"
)

// infoFields splits INFO into sections of field names.
func infoFields(t *testing.T, reply string) (headers []string, fields map[string][]string) {
	t.Helper()
	fields = make(map[string][]string)
	for _, line := range strings.Split(value(t, reply).(string), "\r\n") {
		if h, ok := strings.CutPrefix(line, "# "); ok {
			headers = append(headers, h)
		} else if line != "" {
			name, _, ok := strings.Cut(line, ":")
			require.True(t, ok, line)
			last := headers[len(headers)-1]
			fields[last] = append(fields[last], name)
		}
	}
	return headers, fields
}

// notTold are fields of INFO in Redis 7.0 that this server does not have: what they tell of does not exist here, or is
// not known.
var notTold = map[string][]string{
	"Server":      {"multiplexing_api", "atomicvar_api", "gcc_version", "config_file"},
	"Persistence": {"current_save_keys_processed", "current_save_keys_total"},
	"Stats": {"instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps", "expire_cycle_cpu_milliseconds", "total_reads_processed",
		"total_writes_processed"},
	"CPU":          {"used_cpu_sys_main_thread", "used_cpu_user_main_thread"},
	"Latencystats": nil, // no histogram per command is kept, as with latency-tracking no
}

// Sections and fields of INFO come as in Redis, in the same order, with our own in between.
func TestInfoAsRedis(t *testing.T) {
	_, s, ours := one(t)
	require.NotNil(t, s)
	theirs := dial(t, clusterOracle(t))
	for _, line := range []string{"SET a 1", "GET a", "GET b", "EXPIRE a 100", "FOO", "GET"} {
		ours.do(line)
		theirs.do(line)
	}
	for _, line := range []string{"INFO", "INFO default", "INFO all", "INFO everything", "INFO EVERYTHING x", "INFO server modules", "INFO default commandstats",
		"INFO Keyspace SERVER keyspace", "INFO nosuch", "INFO all nosuch", "INFO cpu cluster latencystats errorstats replication memory"} {
		wantHeaders, _ := infoFields(t, theirs.do(line))
		gotHeaders, _ := infoFields(t, ours.do(line))
		var shared []string
		for _, h := range gotHeaders {
			if h != "Raft" {
				shared = append(shared, h)
			}
		}
		require.Equal(t, wantHeaders, shared, line)
	}
	_, want := infoFields(t, theirs.do("INFO everything"))
	_, got := infoFields(t, ours.do("INFO everything"))
	for section, names := range want {
		if section == "Commandstats" || section == "Latencystats" {
			continue
		}
		var kept, shared []string
		for _, n := range names {
			if !contains(notTold[section], n) {
				kept = append(kept, n)
			}
		}
		for _, n := range got[section] {
			if contains(names, n) {
				require.NotContains(t, notTold[section], n)
				shared = append(shared, n)
			}
		}
		require.Equal(t, kept, shared, section)
	}
}

// The counters of commands and errors count alike.
func TestStatsAsRedis(t *testing.T) {
	_, _, ours := one(t)
	theirs := dial(t, clusterOracle(t))
	usec := regexp.MustCompile(`usec=\d+,usec_per_call=[\d.]+`)
	ask := func(c *client) map[string]string {
		c.do("CONFIG RESETSTAT")
		for _, line := range []string{"SET a x", "GET a", "INCR a", "GET", "FOO", "CLIENT FOO", "CLIENT ID x", "CLIENT ID", "CLIENT", "SELECT 99", "SELECT x", "PING a b",
			"PING", "CONFIG SET nosuch 1", "AUTH a b", "HELLO 9", "COMMAND COUNT", "COMMAND", "LPUSH a 1", "GETRANGE a 0 x", "CLUSTER KEYSLOT a", "WAIT x 1"} {
			c.do(line)
		}
		all := make(map[string]string)
		for _, line := range strings.Split(value(t, c.do("INFO commandstats errorstats")).(string), "\r\n") {
			if name, counts, ok := strings.Cut(line, ":"); ok {
				all[name] = usec.ReplaceAllString(counts, "")
			}
		}
		for _, line := range strings.Split(value(t, c.do("INFO stats")).(string), "\r\n") {
			if name, counts, ok := strings.Cut(line, ":"); ok && contains([]string{"total_error_replies", "total_commands_processed", "keyspace_hits",
				"keyspace_misses", "unexpected_error_replies"}, name) {
				all[name] = counts
			}
		}
		return all
	}
	require.Equal(t, ask(theirs), ask(ours))
}

// CLIENT LIST has Redis' fields in Redis' order, and those of 7.2 behind them.
func TestClientListAsRedis(t *testing.T) {
	_, _, ours := one(t)
	theirs := dial(t, clusterOracle(t))
	names := func(reply string) (all []string) {
		for _, f := range strings.Fields(value(t, reply).(string)) {
			name, _, _ := strings.Cut(f, "=")
			all = append(all, name)
		}
		return all
	}
	want := names(theirs.do("CLIENT INFO"))
	require.Equal(t, append(want, "lib-name", "lib-ver"), names(ours.do("CLIENT INFO")))
	require.Equal(t, append(want, "lib-name", "lib-ver"), names(ours.do("CLIENT LIST")))
}

// CONFIG GET knows every setting of Redis, and every one may be set to the value it has.
func TestConfigAsRedis(t *testing.T) {
	_, _, ours := one(t)
	theirs := dial(t, clusterOracle(t))
	ours.do("HELLO 3")
	theirs.do("HELLO 3")
	have, want := value(t, ours.do("CONFIG GET *")).(map[string]any), value(t, theirs.do("CONFIG GET *")).(map[string]any)
	for name := range want {
		require.Contains(t, have, name)
		if reply := theirs.ask("CONFIG", "SET", name, want[name].(string)); reply[0] == '-' && !strings.Contains(reply, "immutable") {
			continue // Redis itself does not take it back
		}
		v := have[name].(string)
		got := ours.ask("CONFIG", "SET", name, v)
		if got != "+OK\r\n" {
			require.Contains(t, got, "can't set immutable config", name)
			require.Contains(t, theirs.ask("CONFIG", "SET", name, want[name].(string)), "can't set immutable config", "%s: Redis takes it", name)
		}
		require.Equal(t, have[name], value(t, ours.do("CONFIG GET "+name)).(map[string]any)[name])
	}
}

// shape is a reply with its values taken out: the types of its parts.
func shape(v any) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = shape(v[i])
		}
		return all
	case int64:
		return "integer"
	case string:
		return "string"
	case map[string]any:
		all := make(map[string]any)
		for k := range v {
			all[k] = shape(v[k])
		}
		return all
	default:
		return v
	}
}

// A leader with a follower looks as a master with a replica, and a follower as a replica, with its link up and down.
func TestReplicationAsRedis(t *testing.T) {
	master := oracle(t)
	host, port, err := net.SplitHostPort(master)
	require.NoError(t, err)
	up := dial(t, liveRedis(t, "--replicaof", host+" "+port))
	require.Eventually(t, func() bool {
		return strings.Contains(up.do("INFO replication"), "master_link_status:up") && strings.Contains(dial(t, master).do("INFO replication"), "state=online")
	}, 20*time.Second, 20*time.Millisecond)
	nobody := freePort(t)
	down := dial(t, liveRedis(t, "--replicaof", "127.0.0.1 "+nobody))

	fakes, servers := cluster(t, 2)
	leader, follower := dial(t, addrOf(servers[0])), dial(t, addrOf(servers[1]))
	parts := regexp.MustCompile(`slave0:(.*)\r\n`)
	names := func(c *client) string {
		m := parts.FindStringSubmatch(c.do("INFO replication"))
		require.NotNil(t, m)
		return regexp.MustCompile(`=[^,]*`).ReplaceAllString(m[1], "")
	}
	check := func(ours, theirs *client) {
		_, want := infoFields(t, theirs.do("INFO replication"))
		_, got := infoFields(t, ours.do("INFO replication"))
		require.Equal(t, want["Replication"], got["Replication"])
		require.Equal(t, shape(value(t, theirs.do("ROLE"))), shape(value(t, ours.do("ROLE"))))
		require.Equal(t, value(t, theirs.do("ROLE")).([]any)[0], value(t, ours.do("ROLE")).([]any)[0])
	}
	m := dial(t, master)
	require.Equal(t, names(m), names(leader))
	check(leader, m)
	check(follower, up)
	require.Equal(t, value(t, up.do("ROLE")).([]any)[3], value(t, follower.do("ROLE")).([]any)[3])
	require.Equal(t, up.do("WAIT 1 1"), follower.do("WAIT 1 1"))
	fakes[1].change(func(v *node.View) { v.Leader = 0 })
	check(follower, down)
	require.Contains(t, []any{"connect", "connecting"}, value(t, down.do("ROLE")).([]any)[3])
	require.Equal(t, "connect", value(t, follower.do("ROLE")).([]any)[3])
}

// Replies whose values differ by nature have the same parts and types.
func TestShapesAsRedis(t *testing.T) {
	_, s, _ := one(t)
	addr := clusterOracle(t)
	for _, proto := range []string{"2", "3"} {
		ours, theirs := dial(t, addrOf(s)), dial(t, addr)
		ours.do("HELLO " + proto)
		theirs.do("HELLO " + proto)
		for _, line := range []string{"CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "CLUSTER INFO", "CLUSTER MYID", "HELLO", "TIME", "ROLE", "CLIENT ID",
			"CLIENT INFO", "CLIENT LIST", "CLIENT TRACKINGINFO", "INFO", "CONFIG GET timeout", "COMMAND COUNT", "COMMAND DOCS nosuch"} {
			want, got := theirs.do(line), ours.do(line)
			require.Equal(t, want[0], got[0], line)
			require.Equal(t, shape(value(t, want)), shape(value(t, got)), "RESP%s %s", proto, line)
		}
		words := func(c *client) int { return len(strings.Fields(value(t, c.do("CLUSTER NODES")).(string))) }
		require.Equal(t, words(theirs), words(ours))
		names := func(c *client) (all []string) {
			for _, l := range strings.Split(value(t, c.do("CLUSTER INFO")).(string), "\r\n") {
				name, _, _ := strings.Cut(l, ":")
				all = append(all, name)
			}
			return all
		}
		require.Equal(t, names(theirs), names(ours))
		for _, name := range []string{"CLIENT", "CLUSTER", "COMMAND", "CONFIG"} {
			want, got := value(t, theirs.do(name+" HELP")).([]any), value(t, ours.do(name+" HELP")).([]any)
			require.Equal(t, want[0], got[0])
			require.Equal(t, want[len(want)-2], got[len(got)-2])
		}
	}
}
