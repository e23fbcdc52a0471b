package sim

import (
	"cmp"
	"slices"
	"strings"

	"kvapp/internal/recovery"
	"kvapp/raft"
	"kvapp/wal"
)

// In worlds with the class lose a majority of the disks is gone for good when the faults end. What kvapp recover does is done to
// the disks that are left, and what it makes of them must go on as a cluster of its own. What it says is held against the one
// history: whatever any survivor knew to be committed is there, all of its own log is, and nothing else.

// loseMajority loses a majority and recovers what is left, if anything is.
func (w *World) loseMajority() {
	if w.o.Odds[lose] == 0 || len(w.hosts) < 2 {
		return
	}
	d := dice(w.random(nemesisTime, 1, 0))
	for _, h := range w.hosts {
		h.fs.SetSpace(-1)
		switch {
		case !h.up:
		case d.oneIn(2):
			w.kill(h, &d)
		default:
			w.powerLoss(h, &d)
		}
	}
	left := w.drawSurvivors(&d)
	if len(left) == 0 {
		return // then there is nothing that could be recovered, and the cluster goes on with what it has
	}
	w.reach(majorityLost)
	for _, h := range w.hosts {
		h.gone = true
	}
	w.judge() // what clients have seen up to now; behind the loss it need not hold any more
	if w.failure == nil {
		w.recoverFrom(left)
	}
}

// drawSurvivors draws up to half of the nodes, of those whose disks are sound; now and then those that have the least.
func (w *World) drawSurvivors(d *dice) (left []*host) {
	most := 1 + d.n(len(w.hosts)/2)
	from := d.n(len(w.hosts))
	for i := range w.hosts {
		if h := w.hosts[(from+i)%len(w.hosts)]; !h.damaged() {
			left = append(left, h)
		}
	}
	if d.oneIn(2) {
		slices.SortStableFunc(left, func(a, b *host) int { return cmp.Compare(a.shadow.last(), b.shadow.last()) })
	}
	return left[:min(most, len(left))]
}

// survivor is a node that is left.
type survivor struct {
	*host
	log  *wal.Log
	plan *recovery.Recovery
}

// recoverFrom does what an operator does: asks every node that is left for its position, and recovers where that is not refused.
func (w *World) recoverFrom(left []*host) {
	var list []survivor
	for _, h := range left {
		log, rec, err := wal.Open(dir, wal.Identity{Node: h.id}, w.walOptions(h))
		if err != nil {
			w.fail("node-starts", "%v: %v", h, err)
			return
		}
		w.recovered(h, &rec)
		plan, err := recovery.New(rec, log.Last(), "")
		if err != nil {
			w.fail("log-can-be-recovered", "%v: %v", h, err)
			return
		}
		list = append(list, survivor{h, log, plan})
		if err := log.Close(); err != nil {
			w.fail("node-starts", "%v: %v", h, err)
		}
	}
	for len(list) > 0 && w.failure == nil {
		founders, others := w.recoverable(list)
		if len(founders) > 0 {
			w.refound(founders, list)
			return
		}
		list = others // those that were refused come back as new nodes
	}
	if w.failure == nil {
		w.fail("log-can-be-recovered", "none of %d survivors", len(left))
	}
}

// recoverable returns the survivors that may found the new cluster; if none may, the others than those that come first.
func (w *World) recoverable(list []survivor) (founders, others []survivor) {
	var line []string
	for i := range list {
		line = append(line, list[i].plan.Position().String())
	}
	first := ""
	for _, s := range list {
		log, rec, err := wal.Open(dir, wal.Identity{Node: s.id}, w.walOptions(s.host))
		if err == nil {
			s.log = log
			s.plan, err = recovery.New(rec, log.Last(), strings.Join(line, ","))
		}
		if err != nil {
			w.fail("log-can-be-recovered", "%v: %v", s.host, err)
			return nil, nil
		}
		first = s.plan.Names()
		if err := s.plan.Check(); err == nil {
			founders = append(founders, s)
			continue
		} else if w.tracing {
			w.trace(s.host, "recover", "%v", err)
		}
		if err := log.Close(); err != nil {
			w.fail("node-starts", "%v: %v", s.host, err)
		}
	}
	for _, s := range list {
		if !strings.Contains(", "+first+",", ", "+w.members[s.n].Name+",") {
			others = append(others, s)
		}
	}
	return founders, others
}

// refound makes the founders' logs those of a new cluster, and the model what they hold.
func (w *World) refound(founders, left []survivor) {
	one := founders[0]
	cluster, hard, e := one.plan.Plan()
	for _, s := range founders {
		c, own, same := s.plan.Plan()
		if c != cluster || own.Term != hard.Term || same.Index != e.Index || same.Term != e.Term || string(same.Data) != string(e.Data) {
			w.fail("founders-agree", "%v would found %s with entry %d/t%d, %v %s with %d/t%d", one.host, cluster, e.Index, e.Term, s.host, c, same.Index, same.Term)
			return
		}
		if err := s.log.Refound(c, own, same); err != nil {
			w.fail("log-can-be-recovered", "%v: %v", s.host, err)
			return
		}
		if err := s.log.Close(); err != nil {
			w.fail("node-starts", "%v: %v", s.host, err)
		}
		s.gone = false
		s.shadow.hard = own
		s.shadow.terms = append(s.shadow.terms, e.Term)
		if w.tracing {
			w.trace(s.host, "refound", "cluster %s at entry %d of t%d", c, e.Index, e.Term)
		}
	}
	keep := w.heldBy(one.host, e.Index-1)
	for _, s := range left {
		if p := s.plan.Position(); p.Commit > keep {
			w.fail("recovery-keeps-what-is-known", "%v knows that %d is committed, the new cluster begins with %d of %d entries", s.host, p.Commit, keep, len(w.ledger))
			return
		}
	}
	if keep < uint64(len(w.ledger)) {
		w.reach(writesLost)
	}
	if keep < e.Index-1 {
		w.reach(tailFinal)
	}
	w.cluster = cluster
	w.forgetBehind(keep)
}

// heldBy returns up to which entry a log that ends at last holds the one history.
func (w *World) heldBy(h *host, last uint64) (keep uint64) {
	for keep < min(last, uint64(len(w.ledger))) && h.shadow.holds(keep+1, w.ledger[keep].term) {
		keep++
	}
	for i := keep + 1; i <= min(last, uint64(len(w.ledger))); i++ {
		if h.shadow.holds(i, w.ledger[i-1].term) {
			w.fail("log-matching", "%v holds entry %d of the history, and not %d", h, i, keep+1)
			return keep
		}
	}
	return keep
}

// forgetBehind takes everything back that is known from behind an entry: what the lost nodes had committed, and all that was
// said and promised in the old cluster. What was refused may become final now, if it stands in a log that is left.
func (w *World) forgetBehind(keep uint64) {
	w.epoch++
	w.ledger = w.ledger[:keep]
	w.acked = min(w.acked, keep)
	w.counted = w.counted[:min(uint64(len(w.counted)), keep+1)]
	for index := range w.hashes {
		if index > keep {
			delete(w.hashes, index)
		}
	}
	for len(w.configs) > 0 && w.configs[len(w.configs)-1].index > keep {
		w.configs = w.configs[:len(w.configs)-1]
	}
	w.book, w.leaders, w.old, w.wishes = nil, nil, nil, nil
	w.votes, w.acks = [MaxNodes][]int8{}, [MaxNodes][MaxNodes]ack{}
	w.membership = raft.Membership{} // that of the new cluster is a founding one
	for i := range w.tokens {
		if t := &w.tokens[i]; t.op == nil && (t.fate == notInLog || t.index > keep) {
			*t = token{key: t.key}
		}
	}
	for _, k := range w.keys {
		k.forgetBehind(keep)
	}
	w.relist(keep)
	clear(w.current) // clients go on with keys that nobody has seen before
	for _, c := range w.clients {
		c.watching = nil
		if c.attempt != nil {
			w.pause(c)
		}
	}
}

func (k *key) forgetBehind(keep uint64) {
	n := len(k.versions)
	for n > 0 && k.versions[n-1].index > keep {
		n--
	}
	if n < len(k.versions) && k.name[0] == 'l' {
		k.text = k.text[:k.versions[n].begin]
		if n > 0 && !k.versions[n-1].gone {
			v := &k.versions[n-1]
			k.text = k.text[:v.begin+int(v.value)]
		}
	}
	k.versions, k.history = k.versions[:n], nil
}
