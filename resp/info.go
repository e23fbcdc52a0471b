package resp

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kvapp/fsm"
	"kvapp/node"
)

// infoSection is one part of INFO. Names and headers are Redis': monitoring tools switch on them.
type infoSection struct {
	name   string // as clients ask for it
	header string
	extra  bool // not part of the default
	write  func(r *infoReport)
}

var infoSections = []infoSection{
	{name: "server", header: "Server", write: infoServer},
	{name: "clients", header: "Clients", write: infoClients},
	{name: "memory", header: "Memory", write: infoMemory},
	{name: "persistence", header: "Persistence", write: infoPersistence},
	{name: "stats", header: "Stats", write: infoStats},
	{name: "replication", header: "Replication", write: infoReplication},
	{name: "cpu", header: "CPU", write: infoCPU},
	{name: "modules", header: "Modules", write: func(*infoReport) {}},
	{name: "commandstats", header: "Commandstats", extra: true, write: infoCommands},
	{name: "errorstats", header: "Errorstats", write: infoErrors},
	{name: "latencystats", header: "Latencystats", extra: true, write: func(*infoReport) {}},
	{name: "cluster", header: "Cluster", write: func(r *infoReport) { r.int("cluster_enabled", 1) }},
	{name: "raft", header: "Raft", write: infoRaft},
	{name: "keyspace", header: "Keyspace", write: infoKeyspace},
}

// infoReport collects one answer. view and status are taken once, so that the sections agree.
type infoReport struct {
	strings.Builder
	srv    *Server
	now    time.Time
	view   *node.View
	status node.Status
	peers  PeerTraffic // all together
	links  int         // peers this node is connected to
}

func (r *infoReport) str(key, value string) { r.WriteString(key + ":" + value + "\r\n") }

func (r *infoReport) int(key string, n int64) { r.str(key, strconv.FormatInt(n, 10)) }

func (r *infoReport) uint(key string, n uint64) { r.str(key, strconv.FormatUint(n, 10)) }

func (r *infoReport) bool(key string, on bool) { r.int(key, int64(btoi(on))) }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (r *infoReport) float(key string, f float64) { r.str(key, strconv.FormatFloat(f, 'f', 2, 64)) }

func (r *infoReport) zeros(keys ...string) {
	for _, k := range keys {
		r.int(k, 0)
	}
}

func info(c *conn, args [][]byte) {
	wanted := make(map[string]bool)
	everything, defaults := false, len(args) == 1
	for _, a := range args[1:] {
		switch word := strings.ToLower(string(a)); word {
		case "all", "everything":
			everything = true
		case "default":
			defaults = true
		default:
			wanted[word] = true
		}
	}
	r := &infoReport{srv: c.srv, now: c.srv.now(), view: c.srv.node().View(), status: c.srv.status()}
	for _, p := range c.srv.peers() {
		r.links += btoi(p.Connected)
		r.peers.BytesSent += p.BytesSent
		r.peers.BytesReceived += p.BytesReceived
		r.peers.Snapshots += p.Snapshots
	}
	for i := range infoSections {
		s := &infoSections[i]
		if !(everything || wanted[s.name] || defaults && !s.extra) {
			continue
		}
		if r.Len() > 0 {
			r.WriteString("\r\n")
		}
		r.WriteString("# " + s.header + "\r\n")
		s.write(r)
	}
	c.out.Verbatim("txt", r.String())
}

func infoServer(r *infoReport) {
	exe, err := os.Executable()
	if err != nil {
		exe = ""
	}
	up := since(r.now, r.srv.started)
	r.str("redis_version", redisVersion)
	r.str("redis_git_sha1", "00000000")
	r.str("redis_git_dirty", "0")
	r.str("redis_build_id", "0")
	r.str("redis_mode", "cluster")
	r.str("server_name", "kvapp")
	r.str("kvapp_version", r.srv.version)
	r.str("os", runtime.GOOS+" "+runtime.GOARCH)
	r.int("arch_bits", strconv.IntSize)
	r.str("monotonic_clock", "POSIX clock_gettime")
	r.str("go_version", runtime.Version())
	r.int("process_id", int64(os.Getpid()))
	r.str("process_supervised", "no")
	r.str("run_id", r.srv.runID)
	r.str("tcp_port", r.srv.port)
	r.int("server_time_usec", r.now.UnixMicro())
	r.int("uptime_in_seconds", up)
	r.int("uptime_in_days", up/86400)
	r.int("hz", int64(time.Second/sampleEvery))
	r.int("configured_hz", r.srv.settings.Int("hz"))
	r.int("lru_clock", r.now.Unix()&(1<<24-1))
	r.str("executable", exe)
	r.int("io_threads_active", 0)
}

func infoClients(r *infoReport) {
	in, out := 0, 0
	all := r.srv.clients()
	for _, c := range all {
		in, out = max(in, int(c.net.QueryBuffer())), max(out, int(c.net.OutputBuffer()))
	}
	r.int("connected_clients", int64(r.srv.guard.Count()))
	r.int("cluster_connections", int64(r.links))
	r.int("maxclients", r.srv.settings.Int("maxclients"))
	r.int("client_recent_max_input_buffer", int64(in))
	r.int("client_recent_max_output_buffer", int64(out))
	waiting, timed := countWaits(all)
	r.int("blocked_clients", waiting)
	tracking, _, _, _ := r.srv.tracker.facts()
	r.int("tracking_clients", tracking)
	r.int("clients_in_timeout_table", timed)
	r.zeros("pubsub_clients")
	watching, watched := r.srv.tracker.watching()
	r.int("watching_clients", watching)
	r.int("total_watched_keys", watched)
	keys, onGone := r.srv.node().Store().Waiting()
	r.int("total_blocking_keys", keys)
	r.int("total_blocking_keys_on_nokey", onGone)
}

// human prints bytes as Redis does: 12.34M.
func human(n uint64) string {
	const units = "BKMGTP"
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 {
		return strconv.FormatUint(n, 10) + "B"
	}
	return strconv.FormatFloat(f, 'f', 2, 64) + units[u:u+1]
}

func (r *infoReport) bytes(key string, n uint64) {
	r.uint(key, n)
	r.str(key+"_human", human(n))
}

func infoMemory(r *infoReport) {
	facts := r.srv.memory()
	heap, rss, used, dataset, peak := facts.heap, facts.resident, facts.objects, facts.dataset, facts.peak
	limit := uint64(max(0, r.srv.settings.Int("maxmemory")))
	r.bytes("used_memory", used)
	r.bytes("used_memory_rss", rss)
	r.bytes("used_memory_peak", peak)
	r.str("used_memory_peak_perc", percent(used, peak))
	r.uint("used_memory_overhead", used-dataset)
	r.uint("used_memory_startup", facts.startup)
	r.uint("used_memory_dataset", dataset)
	r.str("used_memory_dataset_perc", percent(dataset, used))
	r.uint("allocator_allocated", heap.objects)
	r.uint("allocator_active", heap.active)
	r.uint("allocator_resident", heap.resident)
	r.bytes("total_system_memory", systemBytes())
	r.zeros("used_memory_lua", "used_memory_vm_eval")
	r.str("used_memory_lua_human", human(0))
	r.zeros("used_memory_scripts_eval", "number_of_cached_scripts", "number_of_functions", "number_of_libraries", "used_memory_vm_functions", "used_memory_vm_total")
	r.str("used_memory_vm_total_human", human(0))
	r.zeros("used_memory_functions", "used_memory_scripts")
	r.str("used_memory_scripts_human", human(0))
	r.bytes("maxmemory", limit)
	r.str("maxmemory_policy", r.srv.settings.Get("maxmemory-policy"))
	r.ratio("allocator_frag", heap.active, heap.objects)
	r.ratio("allocator_rss", heap.resident, heap.active)
	r.ratio("rss_overhead", rss, heap.resident)
	r.float("mem_fragmentation_ratio", quotient(rss, used))
	r.int("mem_fragmentation_bytes", int64(rss)-int64(used))
	r.uint("mem_not_counted_for_evict", uint64(diff(used, facts.counted)))
	r.uint("used_memory_counted", facts.counted)
	r.zeros("mem_replication_backlog", "mem_total_replication_buffers", "mem_clients_slaves")
	r.uint("mem_clients_normal", facts.clients)
	r.zeros("mem_cluster_links", "mem_aof_buffer")
	r.str("mem_allocator", "go")
	running := 0
	if r.srv.node().Store().Moves().Running {
		running = node.TidyShare
	}
	r.int("active_defrag_running", int64(running))
	r.zeros("lazyfree_pending_objects", "lazyfreed_objects")
	r.int("raft_inflight_bytes", r.status.Uncommitted)
}

// ratio prints how far a figure is above another, as a quotient and in bytes.
func (r *infoReport) ratio(key string, part, whole uint64) {
	r.float(key+"_ratio", quotient(part, whole))
	r.int(key+"_bytes", int64(part)-int64(whole))
}

func quotient(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func percent(part, whole uint64) string {
	if whole == 0 {
		return "0.00%"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 2, 64) + "%"
}

func infoPersistence(r *infoReport) {
	st := &r.status
	r.bool("loading", r.view.Loading)
	r.zeros("async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age")
	r.float("current_fork_perc", 0)
	r.int("rdb_changes_since_last_save", lag(st.Applied, st.SnapshotIndex))
	r.bool("rdb_bgsave_in_progress", st.SnapshotBusy)
	saved, took, busy := r.srv.started.Unix(), int64(-1), int64(-1) // as Redis: what was found at the start counts as saved then
	if st.SnapshotAt > 0 {
		saved = st.SnapshotAt / 1000
	}
	if st.Snapshots > 0 {
		took = st.SnapshotNs / 1e9
	}
	if st.SnapshotBusy {
		busy = max(0, st.Now-st.SnapshotSince) / 1e9
	}
	r.int("rdb_last_save_time", saved)
	r.str("rdb_last_bgsave_status", status(!st.SnapshotLate)) // any other failure than a full disk stops the node
	r.int("rdb_last_bgsave_time_sec", took)
	r.int("rdb_current_bgsave_time_sec", busy)
	r.uint("rdb_saves", st.Snapshots)
	r.zeros("rdb_last_cow_size", "rdb_last_load_keys_expired")
	r.int("rdb_last_load_keys_loaded", int64(st.LoadedKeys))
	// The log is cut, never rewritten.
	r.int("aof_enabled", 1)
	r.zeros("aof_rewrite_in_progress", "aof_rewrite_scheduled")
	r.int("aof_last_rewrite_time_sec", -1)
	r.int("aof_current_rewrite_time_sec", -1)
	r.str("aof_last_bgrewrite_status", "ok")
	r.zeros("aof_rewrites", "aof_rewrites_consecutive_failures")
	r.str("aof_last_write_status", status(!st.DiskFull)) // a write that fails stops the node; before it does, none is taken
	r.zeros("aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size")
	r.int("aof_current_size", st.LogBytes)
	r.zeros("aof_pending_bio_fsync", "aof_delayed_fsync")
	r.bool("disk_full", st.DiskFull)
	r.int("disk_free_bytes", st.DiskFree)
	r.int("disk_reserve_bytes", st.DiskReserve)
}

// moves prints what was done against fragmentation: a record moves with its key.
func (r *infoReport) moves(m fsm.Moves, base baseline) {
	done, refused := uint64(diff(m.Done, base.moved)), uint64(diff(m.Refused, base.refused))
	r.uint("active_defrag_hits", done)
	r.uint("active_defrag_misses", refused)
	r.uint("active_defrag_key_hits", done)
	r.uint("active_defrag_key_misses", refused)
	current := int64(0)
	if since := r.status.WasteSince; since != 0 {
		current = max(0, r.status.Now-since)
	}
	r.int("total_active_defrag_time", (r.status.WasteNs+current)/1e6)
	r.int("current_active_defrag_time", current/1e6)
}

// status is Redis' word for whether something went well.
func status(ok bool) string {
	if ok {
		return "ok"
	}
	return "err"
}

func infoStats(r *infoReport) {
	st, store := &r.srv.stats, r.srv.node().Store()
	base := st.baseline()
	in, out := r.srv.traffic()
	ops, inRate, outRate := st.rates.perSecond()
	r.uint("total_connections_received", st.connections.Load())
	r.uint("total_commands_processed", st.commands.Load())
	r.int("instantaneous_ops_per_sec", int64(ops))
	r.uint("total_net_input_bytes", uint64(diff(in, base.netIn)))
	r.uint("total_net_output_bytes", uint64(diff(out, base.netOut)))
	r.uint("total_net_repl_input_bytes", r.peers.BytesReceived)
	r.uint("total_net_repl_output_bytes", r.peers.BytesSent)
	r.float("instantaneous_input_kbps", inRate/1024)
	r.float("instantaneous_output_kbps", outRate/1024)
	r.uint("rejected_connections", uint64(diff(r.srv.guard.Rejected(), base.rejected)))
	r.uint("sync_full", r.peers.Snapshots)
	r.zeros("sync_partial_ok", "sync_partial_err")
	r.uint("expired_subkeys", uint64(diff(store.ExpiredFields(), base.subkeys)))
	r.uint("expired_keys", uint64(diff(store.Expired(), base.expired)))
	r.float("expired_stale_perc", 0)
	r.zeros("expired_time_cap_reached_count")
	r.uint("evicted_keys", uint64(diff(store.Evicted(), base.evicted)))
	r.zeros("evicted_clients", "total_eviction_exceeded_time", "current_eviction_exceeded_time")
	r.uint("keyspace_hits", uint64(diff(store.Hits(), base.hits)))
	r.uint("keyspace_misses", uint64(diff(store.Misses(), base.misses)))
	r.zeros("pubsub_channels", "pubsub_patterns", "pubsubshard_channels", "latest_fork_usec", "total_forks", "migrate_cached_sockets",
		"slave_expires_tracked_keys")
	r.moves(store.Moves(), base)
	_, keys, items, prefixes := r.srv.tracker.facts()
	r.int("tracking_total_keys", keys)
	r.int("tracking_total_items", items)
	r.int("tracking_total_prefixes", prefixes)
	r.zeros("unexpected_error_replies")
	r.uint("total_error_replies", st.failures.Load())
	r.zeros("dump_payload_sanitizations", "io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks", "reply_buffer_expands")
	r.uint("acl_access_denied_auth", st.denied.Load())
	r.zeros("acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel")
}

func infoCPU(r *infoReport) {
	var self, children syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &self) != nil || syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children) != nil {
		return
	}
	secs := func(t syscall.Timeval) string {
		return strconv.FormatFloat(time.Duration(t.Nano()).Seconds(), 'f', 6, 64)
	}
	r.str("used_cpu_sys", secs(self.Stime))
	r.str("used_cpu_user", secs(self.Utime))
	r.str("used_cpu_sys_children", secs(children.Stime))
	r.str("used_cpu_user_children", secs(children.Utime))
}

func infoCommands(r *infoReport) {
	var visit func(list []*command)
	visit = func(list []*command) {
		for _, x := range list {
			calls, rejected := x.stats.calls.Load(), x.stats.rejected.Load()
			if calls > 0 || rejected > 0 {
				us := float64(x.stats.nanos.Load()) / 1000
				per := 0.0
				if calls > 0 {
					per = us / float64(calls)
				}
				r.str("cmdstat_"+x.name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
					calls, int64(us), per, rejected, x.stats.failed.Load()))
			}
			visit(x.list)
		}
	}
	visit(r.srv.table.list)
}

func infoErrors(r *infoReport) {
	words, counts := r.srv.stats.errorWords()
	for i, w := range words {
		r.str("errorstat_"+w, "count="+strconv.FormatUint(counts[i], 10))
	}
}

func infoKeyspace(r *infoReport) {
	store := r.srv.node().Store()
	for db := range fsm.Databases {
		if keys, expires := store.Keys(db); keys > 0 {
			line := fmt.Sprintf("keys=%d,expires=%d,avg_ttl=%d", keys, expires, store.AvgTTL(db))
			if n := store.FieldExpires(db); n > 0 { // the field came with Redis 7.4
				line += ",subexpiry=" + strconv.FormatInt(n, 10)
			}
			r.str("db"+strconv.Itoa(db), line)
		}
	}
}
