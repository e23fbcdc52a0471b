package status

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kvapp/node"
	"kvapp/raft"
)

// Server answers HTTP until Close.
type Server struct {
	http *http.Server
	done chan struct{} // closed when nothing is accepted any more
}

// closeLimit is how long requests under way may take after Close.
const closeLimit = time.Second

// Serve answers what l accepts, on goroutines of its own; Close closes l. Any goroutine.
func Serve(l net.Listener, n node.Client, version string) *Server {
	s := &Server{
		http: &http.Server{Handler: Handler(n, version), ReadHeaderTimeout: 5 * time.Second},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // ends with Close; a broken status port must not stop the node
	}()
	return s
}

// Close ends the server; requests under way get a second, then their connections are cut.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// Handler is what Serve serves.
func Handler(n node.Client, version string) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(&collector{n: n, version: version}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, true, "alive") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		v := n.View()
		switch {
		case v.Loading:
			answer(w, false, "loading")
		case v.Leader == 0:
			answer(w, false, "no leader known")
		default:
			answer(w, true, "ready")
		}
	})
	return mux
}

func answer(w http.ResponseWriter, ok bool, text string) {
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = fmt.Fprintln(w, text) // the client went away: nobody to tell
}

// collector asks the node at every scrape.
type collector struct {
	n       node.Client
	version string
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descBuild     = desc("rr_build_info", "Version of the server.", "version")
	descHasLeader = desc("rr_raft_has_leader", "1 if a leader is known.")
	descIsLeader  = desc("rr_raft_is_leader", "1 if this node leads.")
	descTerm      = desc("rr_raft_term", "Current term.")
	descCommit    = desc("rr_raft_commit_index", "Last committed index known here.")
	descApplied   = desc("rr_raft_applied_index", "Last index in the state machine.")
	descChanges   = desc("rr_raft_leader_changes_total", "Leaders seen since the start.")
	descPending   = desc("rr_raft_proposals_pending", "Client batches proposed and not answered.")
	descLag       = desc("rr_raft_peer_lag_entries", "Entries a member has not acknowledged; leader only.", "peer")
	descFsyncs    = desc("rr_disk_wal_fsync_duration_seconds", "Time of the journal's writes with their fsync.")
	descLogBytes  = desc("rr_disk_wal_bytes", "Bytes of the journal.")
	descQueue     = desc("rr_flow_queue_bytes", "Bytes in a queue of the node.", "queue")
	descLimit     = desc("rr_flow_limit_bytes", "Bytes from which on a queue holds back what comes next.", "queue")
	descPressure  = desc("rr_flow_back_pressure", "1 if a full queue holds back what comes next.", "queue")
	descRefused   = desc("rr_peer_refused_total", "Connections of nodes that were turned away.", "reason")
	descOldMsgs   = desc("rr_peer_dropped_messages_total", "Messages of a node that was replaced while its connection stood.")
	descWaits     = desc("rr_flow_inbox_waits_total", "How often a peer's connection had to wait for the node's loop.")
	descInflight  = desc("rr_raft_peer_inflight_bytes", "Bytes sent to a member and not acknowledged; leader only.", "peer")
	descInMsgs    = desc("rr_raft_peer_inflight_messages", "Messages sent to a member and not acknowledged; leader only.", "peer")
	descDiskFree  = desc("rr_disk_free_bytes", "Bytes that the journal's disk still takes, less what was accepted.")
	descDiskKeep  = desc("rr_disk_reserve_bytes", "Bytes that should stay free: with less the leader takes no writes.")
	descDiskFull  = desc("rr_disk_full", "1 if this node takes no writes while it leads.")
	descSnapLate  = desc("rr_snapshot_late", "1 if a snapshot is due and does not fit on the disk.")
	descKeys      = desc("redis_db_keys", "Keys.", "db")
	descExpiring  = desc("redis_db_keys_expiring", "Keys with a deadline.", "db")
	descMemory    = desc("redis_memory_used_bytes", "Logical size of the keyspace.")
	descHits      = desc("redis_keyspace_hits_total", "Lookups that found a key.")
	descMisses    = desc("redis_keyspace_misses_total", "Lookups that found none.")
	descExpired   = desc("redis_expired_keys_total", "Keys deleted because they were due.")
	descEvicted   = desc("redis_evicted_keys_total", "Keys evicted because memory was short.")
	descCounted   = desc("redis_memory_counted_bytes", "What maxmemory is compared with: the keys, their values and deadlines.")
)

// Describe implements prometheus.Collector. It describes nothing: that would ask the node before it runs.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(descBuild, 1, c.version)
	st, err := c.n.Status()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descTerm, err)
		return
	}
	gauge(descHasLeader, flag(st.Leader != 0))
	gauge(descIsLeader, flag(st.Role == raft.Leader))
	gauge(descTerm, float64(st.Term))
	gauge(descCommit, float64(st.Commit))
	gauge(descApplied, float64(st.Applied))
	gauge(descPending, float64(st.Pending))
	gauge(descLogBytes, float64(st.LogBytes))
	flow(gauge, &st)
	counter(descRefused, float64(st.Refusals.OtherCluster), "other_cluster")
	counter(descRefused, float64(st.Refusals.OldIncarnation), "old_incarnation")
	counter(descRefused, float64(st.Refusals.Otherwise), "otherwise")
	counter(descOldMsgs, float64(st.Refusals.Messages))
	counter(descWaits, float64(st.InboxWaits))
	gauge(descDiskFree, float64(st.DiskFree))
	gauge(descDiskKeep, float64(st.DiskReserve))
	gauge(descDiskFull, flag(st.DiskFull))
	gauge(descSnapLate, flag(st.SnapshotLate))
	counter(descChanges, float64(st.LeaderChanges))
	ch <- prometheus.MustNewConstSummary(descFsyncs, st.FsyncCount, float64(st.FsyncNs)/1e9, nil)
	names := map[raft.NodeID]string{}
	for _, m := range st.Membership.Members {
		names[m.ID] = m.Name
	}
	for _, p := range st.Peers {
		gauge(descLag, float64(st.LastIndex-min(p.Match, st.LastIndex)), names[p.ID])
		gauge(descInflight, float64(p.InflightBytes), names[p.ID])
		gauge(descInMsgs, float64(p.InflightMsgs), names[p.ID])
	}
	store := c.n.Store()
	for db := range 16 {
		if keys, expires := store.Keys(db); keys > 0 || db == 0 {
			gauge(descKeys, float64(keys), fmt.Sprintf("db%d", db))
			gauge(descExpiring, float64(expires), fmt.Sprintf("db%d", db))
		}
	}
	gauge(descMemory, float64(store.MemoryUsed()))
	counter(descHits, float64(store.Hits()))
	counter(descMisses, float64(store.Misses()))
	counter(descExpired, float64(store.Expired()))
	counter(descEvicted, float64(store.Evicted()))
	gauge(descCounted, float64(store.Counted()))
}

// flow tells how full the queues are.
func flow(gauge func(*prometheus.Desc, float64, ...string), st *node.Status) {
	for _, q := range []struct {
		name       node.Pressure
		have, most int64
	}{
		{node.PressureUncommitted, st.Uncommitted, st.UncommittedMax},
		{node.PressureApply, st.ApplyBytes, st.ApplyMax},
		{node.PressureInbox, st.InboxBytes, st.InboxMax},
	} {
		gauge(descQueue, float64(q.have), string(q.name))
		gauge(descLimit, float64(q.most), string(q.name))
		gauge(descPressure, flag(st.Pressure == q.name), string(q.name))
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
