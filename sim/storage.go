package sim

import (
	"kvapp/node"
	"kvapp/raft"
)

// issue begins an append job: it runs when the disk is done with it.
func (w *World) issue(h *host, job *node.AppendJob) {
	h.job = job
	h.jobs++
	r := w.random(fsyncTime, uint8(h.n), h.jobs)
	at := w.now + w.o.MinFsync + exponential(r, w.o.MeanFsync)
	w.queue.put(event{at: at, kind: evPersist, node: uint8(h.n), life: h.life})
}

// persist ends the append job under way.
func (w *World) persist(h *host) {
	job := h.job
	h.job = nil
	ev, err := job.Run(h.disk, h.disk)
	if err != nil {
		w.fail("journal", "%v: %v", h, err)
		return
	}
	w.persisted(h, job, ev.First)
	if w.tracing {
		w.trace(h, "persist", "%s", describe{job})
	}
	w.post(h, ev)
}

// fetch reads old entries, a little later.
func (w *World) fetch(h *host, f raft.Fetch) {
	w.reach(fetched)
	at := w.now + w.o.MinFsync
	w.queue.put(event{at: at, kind: evFetch, node: uint8(h.n), life: h.life, ref: w.fetches.add(f)})
}

func (w *World) fetchDone(h *host, ref uint32) {
	w.post(h, node.Fetched(w.fetches.take(ref), h.disk))
}

// writeSnapshot begins to write a frozen view.
func (w *World) writeSnapshot(h *host, job *node.WriteJob) {
	h.write = job
	w.froze(h, job)
	r := w.random(snapshotTime, uint8(h.n), h.turns)
	at := w.now + w.o.MinFsync + 4*exponential(r, w.o.MeanFsync)
	w.queue.put(event{at: at, kind: evWrite, node: uint8(h.n), life: h.life})
}

func (w *World) writeDone(h *host) {
	job := h.write
	h.write = nil
	ev, err := job.Run(h.disk)
	if err != nil {
		w.fail("snapshot", "%v: %v", h, err)
		return
	}
	w.reach(snapshotTaken)
	if w.tracing {
		w.trace(h, "write", "snapshot %d, %d bytes", ev.Snapshot.Meta.Index, ev.Snapshot.Size)
	}
	w.post(h, ev)
}

// stream is a snapshot on its way from one node to another.
type stream struct {
	job      node.SnapshotJob
	from, to int
	life     uint32 // of the sender
	toLife   uint32
	left     int64 // bytes that have not been sent
	bytes    []byte
}

// chunkBytes is how much of a snapshot crosses the network at once.
const chunkBytes = 1 << 10

func (w *World) openStream(h *host, job *node.SnapshotJob) {
	w.reach(snapshotSent)
	to := w.index(job.To)
	s := stream{job: *job, from: h.n, to: to, life: h.life}
	if to >= 0 {
		s.toLife = w.hosts[to].life
	}
	s.bytes = h.disk.files[job.File.Name]
	s.left = int64(len(s.bytes))
	w.queue.put(event{at: w.now + w.o.MinDelay + w.o.MeanDelay, kind: evStream, node: uint8(h.n), life: h.life, ref: w.streams.add(s)})
}

// streamOn sends the next chunk.
func (w *World) streamOn(e *event) {
	s := &w.streams.items[e.ref]
	h := w.hosts[s.from]
	if !h.up || h.life != s.life {
		w.streams.take(e.ref)
		return
	}
	ok := s.to >= 0 && w.hosts[s.to].up && w.hosts[s.to].life == s.toLife && w.links[s.from][s.to].cuts == 0 && w.links[s.to][s.from].cuts == 0
	if ok && s.left > 0 {
		s.left -= min(s.left, chunkBytes)
		l := &w.links[s.from][s.to]
		w.queue.put(event{at: max(w.now+w.o.MinDelay+w.o.MeanDelay, l.clogged), kind: evStream, node: e.node, life: e.life, ref: e.ref})
		return
	}
	done := w.streams.take(e.ref)
	if w.tracing {
		w.trace(h, "stream", "snapshot %d to n%d, whole %v", done.job.File.Meta.Index, done.to+1, ok)
	}
	if ok {
		to := w.hosts[done.to]
		to.disk.files[done.job.File.Name] = done.bytes
		w.post(to, node.Event{Kind: node.EvSnapshotReceived, Peer: h.id, Term: done.job.Term, Snapshot: done.job.File})
	} else {
		w.reach(snapshotCut)
	}
	if w.failure == nil {
		w.post(h, node.Event{Kind: node.EvSnapshotSent, Peer: done.job.To, Snapshot: done.job.File, Failed: !ok})
	}
}
