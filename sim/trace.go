package sim

import (
	"fmt"
	"strings"

	"kvapp/node"
	"kvapp/raft"
)

const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

// note adds to the hash of the run: FNV-1a, eight bytes at a time.
func (w *World) note(v uint64) { w.hash = (w.hash ^ v) * prime64 }

func (w *World) noteMessage(m *raft.Message) {
	w.note(uint64(m.Type)<<16 | uint64(m.From)<<8 | uint64(m.To))
	w.note(m.Term<<40 ^ m.Index<<16 ^ m.Commit ^ uint64(len(m.Entries))<<8 ^ m.Ctx<<32)
	w.note(uint64(m.SentAt))
}

func (w *World) noteBrief(b *raft.Brief) {
	w.note(uint64(b.Role)<<56 | b.Term<<32 | b.Commit)
	w.note(b.Last<<32 | b.Applied)
	w.note(b.Durable<<32 | b.Snapshot)
}

var roleLetters = [...]byte{'f', 'p', 'c', 'L'}

// trace writes one line:
//
//	1.234567890 n1 L t3     c120    a119    l121    deliver   append n2>n1 ...
//	time in s   |  | term   commit  applied last    event     what
//	            |  role: f follower, p pre-candidate, c candidate, L leader, - down
//	            node
func (w *World) trace(h *host, what, format string, args ...any) {
	role := byte('-')
	if h.up {
		role = roleLetters[h.last.Role]
	}
	fmt.Fprintf(w.out, "%4d.%09d n%d %c t%-5d c%-6d a%-6d l%-6d %-9s ", w.now/second, w.now%second, h.n+1, role,
		h.last.Term, h.last.Commit, h.last.Applied, h.last.Last, what)
	fmt.Fprintf(w.out, format, args...)
	fmt.Fprintln(w.out)
}

// describe prints what an event is about, when somebody looks.
type describe struct{ of any }

func (d describe) String() string {
	switch v := d.of.(type) {
	case *raft.Message:
		return messageText(v)
	case *node.AppendJob:
		return jobText(v)
	case *attempt:
		return attemptText(v)
	case []raft.Change:
		return changesText(v)
	}
	return fmt.Sprint(d.of)
}

var messageNames = [...]string{
	"", "pre-vote", "pre-vote-resp", "vote", "vote-resp", "append", "append-resp", "read-index", "read-index-resp", "timeout-now",
	"change", "transfer", "answer", "state",
}

func messageText(m *raft.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s n%d>n%d t%d", messageNames[m.Type], m.From, m.To, m.Term)
	switch m.Type {
	case raft.MsgPreVote, raft.MsgVote:
		fmt.Fprintf(&b, " log ends %d/t%d", m.Index, m.LogTerm)
		if m.Transfer {
			b.WriteString(" transfer")
		}
	case raft.MsgAppend:
		fmt.Fprintf(&b, " behind %d/t%d commit %d ctx %d", m.Index, m.LogTerm, m.Commit, m.Ctx)
		if n := len(m.Entries); n > 0 {
			fmt.Fprintf(&b, " entries %d..%d", m.Entries[0].Index, m.Entries[n-1].Index)
		}
	case raft.MsgAppendResp:
		fmt.Fprintf(&b, " %d ctx %d", m.Index, m.Ctx)
	case raft.MsgReadIndex, raft.MsgReadIndexResp:
		fmt.Fprintf(&b, " ctx %d index %d", m.Ctx, m.Index)
	}
	if m.Reject {
		fmt.Fprintf(&b, " REJECT hint %d/t%d", m.Hint, m.HintTerm)
	}
	return b.String()
}

func jobText(j *node.AppendJob) string {
	var b strings.Builder
	if j.Record.HasHard {
		fmt.Fprintf(&b, "t%d vote n%d commit %d ", j.Record.Hard.Term, j.Record.Hard.Vote, j.Record.Hard.Commit)
	}
	if j.Record.Install != nil {
		fmt.Fprintf(&b, "install %d ", j.Record.Install.Meta.Index)
	}
	if n := len(j.Record.Entries); n > 0 {
		fmt.Fprintf(&b, "entries %d..%d/t%d ", j.Record.Entries[0].Index, j.Record.Entries[n-1].Index, j.Record.Entries[n-1].Term)
	}
	if j.Compact {
		fmt.Fprintf(&b, "compact behind %d, keep from %d", j.Snapshot.Meta.Index, j.KeepFrom)
	}
	return b.String()
}

var changeNames = [...]string{
	raft.ChangeAdd: "add", raft.ChangePromote: "promote", raft.ChangeDemote: "demote", raft.ChangeRemove: "remove",
	raft.ChangeSet: "set",
}

func changesText(changes []raft.Change) string {
	var b strings.Builder
	for i := range changes {
		c := &changes[i]
		fmt.Fprintf(&b, "%s n%d", changeNames[c.Kind], c.Member.ID)
		if c.Member.Learner {
			b.WriteString(" as learner")
		}
		if c.Member.Priority > 0 {
			fmt.Fprintf(&b, " priority %d", c.Member.Priority)
		}
		b.WriteString(", ")
	}
	return strings.TrimSuffix(b.String(), ", ")
}

var outcomeNames = [...]string{"done", "not leader", "no leader", "uncertain", "overwritten", "busy", "loading", "stopped", "disk full", "out of memory"}

func attemptText(a *attempt) string {
	var b strings.Builder
	fmt.Fprintf(&b, "client %d, try %d, n%d:", a.c.n+1, a.c.tries, a.node+1)
	for i := range a.cmds {
		c := &a.cmds[i]
		switch c.verb {
		case other:
			fmt.Fprintf(&b, " %d%q", c.line.DB, c.line.Args)
			continue // a read rolls dice of its own, so its answer is not the same in every run
		case watch, exec:
			fmt.Fprintf(&b, " %s", transactionText(c.txn))
			if a.batch.Outcome == node.Done {
				fmt.Fprintf(&b, "=%v", a.out.values)
			}
			continue
		case push, drop, pop, move, take:
			fmt.Fprintf(&b, " %q", a.batch.Cmds[i].Args)
			if a.batch.Outcome == node.Done {
				fmt.Fprintf(&b, "=%v", a.out.values)
			}
			continue
		case get:
			fmt.Fprintf(&b, " get(%d)", c.key)
		default:
			fmt.Fprintf(&b, " %s(%d, %d)", verbNames[c.verb], c.key, c.token)
		}
		if a.batch.Outcome == node.Done && i < len(a.out.values) {
			fmt.Fprintf(&b, "=%s", &a.out.values[i])
		}
	}
	switch {
	case a.ending == refused:
		b.WriteString(" connection refused")
	case a.ending == reset:
		b.WriteString(" connection reset")
	default:
		fmt.Fprintf(&b, " %s", outcomeNames[a.batch.Outcome])
	}
	return b.String()
}

func (r *reply) String() string {
	if r.kind == ':' {
		return fmt.Sprintf("(%d)", r.num)
	}
	return fmt.Sprintf("(%c%s)", r.kind, r.text)
}

func transactionText(t *transaction) string {
	var b strings.Builder
	fmt.Fprintf(&b, "watch %v %v", t.watches, t.versions)
	for i := range t.cmds {
		if c := &t.cmds[i]; c.op != nil {
			fmt.Fprintf(&b, " list(%d, %d)", c.op.verb, c.token)
		} else {
			fmt.Fprintf(&b, " %s(%d, %d)", verbNames[c.verb], c.key, c.token)
		}
	}
	return b.String()
}
