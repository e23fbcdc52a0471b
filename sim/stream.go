package sim

import (
	"errors"
	"io"

	"kvapp/node"
	"kvapp/wal"
)

// stream is a snapshot on its way from one node to another, over a connection of its own.
type stream struct {
	job      node.SnapshotJob
	from, to int
	life     uint32 // of the sender
	toLife   uint32 // of the receiver, once it has answered
	number   uint64 // of this stream, for chance
	chunks   uint64
	retries  int
	file     io.ReadCloser       // of the sender; nil before the connection stands
	writer   *wal.SnapshotWriter // of the receiver
	has      bool                // the receiver had the whole file
	left     int64               // bytes not sent yet
}

// chunkBytes is how much of a snapshot crosses the network at once.
const chunkBytes = 64

// streamShift is where the number of a stream stands in an address, in front of that of its chunk.
const streamShift = 20

// streamRetries is how often a broken stream is taken up again before the node hears of it.
const streamRetries = 3

var errCut = errors.New("the connection broke")

func (w *World) openStream(h *host, job *node.SnapshotJob) {
	w.reach(snapshotSent)
	w.streamed++
	s := &stream{job: *job, from: h.n, to: w.index(job.To), life: h.life, number: w.streamed}
	if s.to >= 0 && w.phase.core>>s.to&1 == 1 {
		w.phase.sent++
	}
	w.nextChunk(h, w.streams.add(s))
}

// nextChunk puts the next chunk of a stream onto the network.
func (w *World) nextChunk(h *host, ref uint32) {
	s := w.streams.items[ref]
	at := w.now + w.o.MinDelay + w.o.MeanDelay
	if s.to >= 0 {
		at = max(at, w.links[s.from][s.to].clogged)
	}
	w.queue.put(event{at: at, kind: evStream, node: uint8(h.n), life: h.life, ref: ref})
}

// streamOn moves a stream on by one chunk.
func (w *World) streamOn(e *event) {
	s := w.streams.items[e.ref]
	h := w.hosts[s.from]
	if !h.up || h.life != s.life {
		w.closeStream(s)
		w.streams.take(e.ref)
		return
	}
	if w.now < h.paused {
		w.queue.put(event{at: h.paused, kind: evStream, node: e.node, life: e.life, ref: e.ref})
		return
	}
	done, err := w.chunk(h, s)
	if err == nil && !done {
		w.nextChunk(h, e.ref)
		return
	}
	w.closeStream(s)
	if w.tracing {
		w.trace(h, "stream", "snapshot %d to n%d: %v", s.job.File.Meta.Index, s.to+1, err)
	}
	if err != nil {
		w.reach(snapshotCut)
		if r := w.random(snapshotTime, 255, s.number+uint64(s.retries)<<32); s.retries < streamRetries && r&1 == 0 {
			s.retries++
			w.queue.put(event{at: w.now + span(r>>1, w.o.MinDelay, w.o.Heartbeat), kind: evStream, node: e.node, life: e.life, ref: e.ref})
			return
		}
	}
	w.streams.take(e.ref)
	if !h.up {
		return
	}
	w.post(h, node.Event{
		Kind: node.EvSnapshotSent, Peer: s.job.To, Snapshot: s.job.File,
		Failed: err != nil, Refused: err != nil && !errors.Is(err, errCut),
	})
}

// chunk sends the next bytes, or opens the connection first. It reports whether the receiver has everything.
func (w *World) chunk(h *host, s *stream) (done bool, err error) {
	if s.to < 0 || w.links[s.from][s.to].cuts > 0 || w.links[s.to][s.from].cuts > 0 {
		return false, errCut
	}
	to := w.hosts[s.to]
	s.chunks++
	if _, ok := w.luck(streamClass, 0, s.number<<streamShift|s.chunks); ok || !to.up || (s.file != nil && s.toLife != to.life) {
		return false, errCut
	}
	if s.file == nil {
		return false, w.connect(h, to, s)
	}
	if s.left > 0 {
		n := min(s.left, chunkBytes)
		s.left -= n
		_, err := io.CopyN(s.writer, s.file, n)
		return false, err
	}
	if !s.has {
		if _, err := s.writer.Commit(); err != nil {
			s.writer = nil
			return false, err
		}
		s.writer = nil
	}
	w.post(to, node.Event{Kind: node.EvSnapshotReceived, Peer: h.id, Term: s.job.Term, Snapshot: s.job.File})
	if _, ok := w.luckier(streamClass, 1, s.number<<streamShift|s.chunks, min(8*w.o.Odds[streamClass], always/2)); ok {
		return false, errCut // the verdict is lost
	}
	return true, nil
}

// connect agrees on where the stream begins: behind what the receiver has of this very file.
func (w *World) connect(h, to *host, s *stream) error {
	f := wal.Snapshot(s.job.File)
	file, err := h.files.OpenRaw(f)
	if err != nil {
		return err
	}
	s.file, s.toLife, s.has, s.left = file, to.life, to.files.Has(f), 0
	if s.has {
		w.reach(snapshotThere)
		return nil
	}
	if s.writer, err = to.files.Receive(f); err != nil {
		s.writer = nil
		return err
	}
	have := s.writer.Size()
	if have > 0 {
		w.reach(snapshotResumed)
	}
	s.left = f.Size - have
	_, err = io.CopyN(io.Discard, file, have)
	return err
}

// closeStream ends the connection; the receiver keeps what it has.
func (w *World) closeStream(s *stream) {
	if s.file != nil {
		_ = s.file.Close() // only read from
		s.file = nil
	}
	if s.writer != nil {
		if to := w.hosts[s.to]; to.up && to.life == s.toLife {
			_ = s.writer.Keep() // what a disk that fails has kept is found out by the next stream
		}
		s.writer = nil
	}
}
