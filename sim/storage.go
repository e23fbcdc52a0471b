package sim

import (
	"syscall"

	"kvapp/node"
	"kvapp/raft"
	"kvapp/sim/disk"
)

// forEver is how long a disk hangs that nobody helps.
const forEver = 3600 * second

// issue begins an append job: it runs when the disk is done with it.
func (w *World) issue(h *host, job *node.AppendJob) {
	w.issued(h, job)
	h.job, h.jobAt = job, w.now
	h.jobs++
	at := w.now + w.o.MinFsync + exponential(w.random(fsyncTime, uint8(h.n), h.jobs), w.o.MeanFsync)
	if more, ok := w.luck(stallClass, uint8(h.n), h.jobs); ok {
		w.reach(diskStalled)
		at += span(more, w.o.Election/4, 10*w.o.Election)
	}
	if _, ok := w.luck(hangClass, uint8(h.n), h.jobs); ok {
		w.reach(diskHung)
		at += forEver
	}
	if more, ok := w.luck(errorClass, uint8(h.n), h.jobs); ok {
		h.faulty = true
		h.fs.FailNext([...]disk.Op{disk.OpSync, disk.OpSync, disk.OpWrite, disk.OpSyncDir}[more%4], syscall.EIO)
	}
	w.queue.put(event{at: at, kind: evPersist, node: uint8(h.n), life: h.life, ref: uint32(h.jobs)})
}

// persist ends the append job under way.
func (w *World) persist(h *host, ref uint32) {
	if ref != uint32(h.jobs) || h.job == nil {
		return // it hung, and was done when the disk was mended
	}
	tail, tailAt := h.tail, h.tailAt
	if w.o.Odds[rotClass] > 0 && h.job.Writes() {
		tail, tailAt = w.endOfLog(h)
	}
	ev, err := h.job.Run(h.log, h.snaps)
	if err != nil {
		w.stopped(h, "journal-is-sound", err)
		return
	}
	job := h.job
	h.tail, h.tailAt = tail, tailAt
	h.job = nil
	if n := len(job.Record.Entries); n > 0 {
		if t, ok := h.core.TermAt(job.Record.Entries[n-1].Index); !ok || t != job.Record.Entries[n-1].Term {
			w.reach(writeOverwritten)
		}
	}
	w.persisted(h, job)
	if w.tracing && job.Writes() {
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
	w.post(h, node.Fetched(w.fetches.take(ref), h.log))
}

// writeSnapshot begins to write a frozen view.
func (w *World) writeSnapshot(h *host, job *node.WriteJob) {
	h.write = job
	w.froze(h, job)
	at := w.now + w.o.MinFsync + 4*exponential(w.random(snapshotTime, uint8(h.n), h.turns), w.o.MeanFsync)
	w.queue.put(event{at: at, kind: evWrite, node: uint8(h.n), life: h.life})
}

func (w *World) writeDone(h *host) {
	ev, err := h.write.Run(h.snaps)
	if err != nil {
		w.stopped(h, "snapshot-is-written", err)
		return
	}
	h.write = nil
	w.reach(snapshotTaken)
	if w.tracing {
		w.trace(h, "write", "snapshot %d, %d bytes", ev.Snapshot.Meta.Index, ev.Snapshot.Size)
	}
	w.post(h, ev)
}

// endOfLog returns the segment and the byte where the next batch begins.
func (w *World) endOfLog(h *host) (path string, at int64) {
	names, err := h.fs.ReadDir(dir + "/log")
	if err != nil || len(names) == 0 {
		return h.tail, h.tailAt
	}
	path = dir + "/log/" + names[len(names)-1].Name
	if st, err := h.fs.Stat(path); err == nil {
		at = st.Size
	}
	return path, at
}
