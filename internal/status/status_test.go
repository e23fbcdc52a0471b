package status

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// still is a node that says what the test wants it to say, over a real state machine.
type still struct {
	node.Client // what the package does not ask
	store       *fsm.Store
	view        node.View
	status      node.Status
	err         error
}

func (s *still) Store() *fsm.Store            { return s.store }
func (s *still) View() *node.View             { return &s.view }
func (s *still) Status() (node.Status, error) { return s.status, s.err }

// leader is n1 of three; n3 is three entries behind.
func leader(t *testing.T) *still {
	t.Helper()
	s := &still{store: fsm.NewStore()}
	for i, cmd := range []string{
		"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n",
		"*5\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n$2\r\nPX\r\n$7\r\n1000000\r\n",
	} {
		entry := fsm.AppendEntryHeader(nil, 1_700_000_000_000, uint64(i))
		require.NoError(t, s.store.ApplyEntry(uint64(i+1), fsm.AppendEntryCommand(entry, i, []byte(cmd))))
	}
	s.view = node.View{Leader: 1}
	s.status = node.Status{
		Refusals: node.Refusals{OtherCluster: 31, OldIncarnation: 32, Otherwise: 33, Messages: 34},
		Flow: node.Flow{UncommittedMax: 21, ApplyBytes: 22, ApplyMax: 23, InboxBytes: 24, InboxMax: 25, InboxWaits: 26,
			Pressure: node.PressureApply},
		DiskFree: 300, DiskReserve: 200, DiskFull: true, SnapshotLate: true,
		Status: raft.Status{
			ID: 1, Role: raft.Leader, Leader: 1, Term: 7, Commit: 40, Applied: 39, LastIndex: 42,
			Membership: raft.Membership{Members: []raft.Member{{ID: 1, Name: "n1"}, {ID: 2, Name: "n2"}, {ID: 3, Name: "n3"}}},
			Peers:      []raft.PeerStatus{{ID: 2, Match: 42, InflightMsgs: 3, InflightBytes: 512}, {ID: 3, Match: 39}},
		},
		LogBytes: 4096, Pending: 5, LeaderChanges: 2, FsyncCount: 10, FsyncNs: 2_500_000,
	}
	return s
}

func get(t *testing.T, h http.Handler, path string) (code int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	s := leader(t)
	code, body := get(t, Handler(s, "1.2.3"), "/metrics")
	require.Equal(t, http.StatusOK, code)
	for _, line := range []string{
		`rr_build_info{version="1.2.3"} 1`,
		"rr_raft_has_leader 1", "rr_raft_is_leader 1", "rr_raft_term 7", "rr_raft_commit_index 40", "rr_raft_applied_index 39",
		"rr_raft_leader_changes_total 2", "rr_raft_proposals_pending 5",
		`rr_raft_peer_lag_entries{peer="n2"} 0`, `rr_raft_peer_lag_entries{peer="n3"} 3`,
		"rr_disk_wal_fsync_duration_seconds_sum 0.0025", "rr_disk_wal_fsync_duration_seconds_count 10", "rr_disk_wal_bytes 4096",
		`rr_flow_queue_bytes{queue="apply"} 22`, `rr_flow_limit_bytes{queue="apply"} 23`, `rr_flow_back_pressure{queue="apply"} 1`,
		`rr_flow_queue_bytes{queue="inbox"} 24`, `rr_flow_limit_bytes{queue="inbox"} 25`, `rr_flow_back_pressure{queue="inbox"} 0`,
		`rr_flow_limit_bytes{queue="uncommitted"} 21`, "rr_flow_inbox_waits_total 26",
		`rr_peer_refused_total{reason="other_cluster"} 31`, `rr_peer_refused_total{reason="old_incarnation"} 32`,
		`rr_peer_refused_total{reason="otherwise"} 33`, "rr_peer_dropped_messages_total 34",
		`rr_raft_peer_inflight_bytes{peer="n2"} 512`, `rr_raft_peer_inflight_messages{peer="n2"} 3`,
		"rr_disk_free_bytes 300", "rr_disk_reserve_bytes 200", "rr_disk_full 1", "rr_snapshot_late 1",
		`redis_db_keys{db="db0"} 1`, `redis_db_keys{db="db1"} 1`, `redis_db_keys_expiring{db="db0"} 0`, `redis_db_keys_expiring{db="db1"} 1`,
		"redis_keyspace_hits_total 0", "redis_expired_keys_total 0", "redis_evicted_keys_total 0",
	} {
		require.Contains(t, body, "\n"+line+"\n")
	}
	require.NotContains(t, body, `db="db2"`, "only the first database is told when it is empty")
	require.Contains(t, body, "\ngo_goroutines ")
	require.Regexp(t, `\nredis_memory_used_bytes [1-9]`, body)
	require.Contains(t, body, "\nredis_memory_counted_bytes 201\n", "two keys, one with a deadline")
	// Types follow the names: what ends in _total is a counter.
	for line := range strings.Lines(body) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" && (strings.HasPrefix(f[2], "rr_") || strings.HasPrefix(f[2], "redis_")) {
			require.Equal(t, strings.HasSuffix(f[2], "_total"), f[3] == "counter", line)
		}
	}

	// A follower knows a leader and no peer's progress; a match beyond the last index is no negative lag.
	s.status.Role, s.status.Leader, s.status.Peers = raft.Follower, 2, nil
	_, body = get(t, Handler(s, ""), "/metrics")
	require.Contains(t, body, "\nrr_raft_is_leader 0\n")
	require.NotContains(t, body, "rr_raft_peer_lag_entries")
	s.status.Leader, s.status.Peers = 0, []raft.PeerStatus{{ID: 2, Match: 99}}
	_, body = get(t, Handler(s, ""), "/metrics")
	require.Contains(t, body, "\nrr_raft_has_leader 0\n")
	require.Contains(t, body, "\nrr_raft_peer_lag_entries{peer=\"n2\"} 0\n")
}

func TestMetricsOfAStoppedNode(t *testing.T) {
	s := leader(t)
	s.err = node.ErrStopped
	code, body := get(t, Handler(s, ""), "/metrics")
	require.Equal(t, http.StatusInternalServerError, code)
	require.Contains(t, body, "node stopped")
}

func TestProbes(t *testing.T) {
	s := leader(t)
	h := Handler(s, "")
	check := func(path string, code int, body string) {
		t.Helper()
		c, b := get(t, h, path)
		require.Equal(t, code, c, path)
		require.Equal(t, body+"\n", b)
	}
	check("/readyz", 200, "ready")
	check("/livez", 200, "alive")
	s.view.Leader = 0
	check("/readyz", 503, "no leader known")
	check("/livez", 200, "alive")
	s.view.Loading = true
	check("/readyz", 503, "loading")
	code, _ := get(t, h, "/")
	require.Equal(t, http.StatusNotFound, code)
}

func TestServeAndClose(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := Serve(l, leader(t), "")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + l.Addr().String() + "/readyz")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "ready\n", string(body))

	// A client that never ends its request does not keep Close waiting.
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET /metrics HTTP/1.1\r\n")
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, s.Close())
	require.Less(t, time.Since(began), closeLimit+4*time.Second)
	require.NoError(t, conn.Close())
	_, err = net.DialTimeout("tcp", l.Addr().String(), time.Second)
	require.Error(t, err)
}
