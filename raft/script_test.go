package raft

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/*.txt")

// TestScripts runs testdata/*.txt: each command line is followed by what it printed, indented. Commit a change of the
// expectations only if you understand what caused it.
//
//	nodes 3              a cluster of nodes 1..3; first command
//	campaign 1           the election timer of node 1 runs out
//	tick 10              time passes, ms; every node ticks that is due
//	deliver 1->2         the messages under way on one link, in order; "deliver" alone takes everything under way
//	drop 1->2            loses them
//	stabilize            delivers and does background work until nothing moves
//	isolate 1 | heal     from now on messages of 1 are lost
//	join 4               an empty node that waits to be added
//	reads 1              the answers to the reads of node 1
//	propose 1 x | read 1 | snapshot 1 keep | crash 1 [writes] | start 1 | timeout-now 1->2
//	change 1 add=4 learner=5 promote=5 demote=2 remove=3 prefer=2   asks node 1 for all of these at once
//	transfer 1 2         asks node 1 to make node 2 the leader; 0 is any
//	unfit 1 | fit 1      another shall lead than node 1 if one can, or node 1 may again
//	members 1            the membership in effect
//	hold | persist 1 [n] from hold on writes stay in memory until persist
//	status [1] | log 1
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(f)
			require.NoError(t, err)
			got := runScript(t, string(want))
			if *update {
				require.NoError(t, os.WriteFile(f, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(want), got)
		})
	}
}

type script struct {
	*cluster
	out      strings.Builder
	isolated []NodeID
	asked    uint64
}

func runScript(t *testing.T, text string) string {
	s := &script{}
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out.WriteString(line)
		if f := strings.Fields(line); len(f) > 0 && f[0] != "#" {
			if f[0] == "nodes" {
				s.cluster = newCluster(t, num(f[1]))
				s.trace = func(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }
			} else {
				s.run(t, f)
			}
			for l := range strings.Lines(s.out.String()) {
				out.WriteString("    " + l)
			}
			s.out.Reset()
		}
	}
	return out.String()
}

func num(s string) int { n, _ := strconv.Atoi(s); return n }

func (s *script) run(t *testing.T, f []string) {
	var h *host
	var from, to NodeID
	arg := 0
	if len(f) > 1 {
		if a, b, ok := strings.Cut(f[1], "->"); ok {
			from, to = NodeID(num(a)), NodeID(num(b))
		} else {
			h = s.host(NodeID(num(f[1])))
		}
	}
	if len(f) > 2 {
		arg = num(f[2])
	}
	switch f[0] {
	case "campaign":
		s.now = max(s.now, h.core.electionAt)
		s.step(h, Event{Kind: EvTick})
	case "tick":
		s.tick(int64(num(f[1])) * ms)
	case "deliver", "drop":
		net := s.net
		s.net = nil
		for i, m := range net {
			if from != 0 && (m.From != from || m.To != to) {
				s.net = append(s.net, net[i])
				continue
			}
			s.show(&m, f[0] == "drop" || isolate(s.isolated...)(&m))
		}
	case "stabilize":
		s.settle(func(m *Message) bool { s.show(m, isolate(s.isolated...)(m)); return true })
	case "isolate":
		s.isolated = append(s.isolated, h.id)
	case "heal":
		s.isolated = nil
	case "propose":
		if p := s.propose(h, f[2]); p.Err != nil {
			fmt.Fprintln(&s.out, p.Err)
		}
	case "change":
		s.asked++
		s.step(h, Event{Kind: EvChange, ID: s.asked, Changes: parseChanges(f[2:])})
		s.answers(h)
	case "transfer":
		s.asked++
		s.step(h, Event{Kind: EvTransfer, ID: s.asked, To: NodeID(arg)})
		s.answers(h)
	case "members":
		s.members(h.core.Membership())
	case "join":
		s.addHost(NodeID(num(f[1])), Membership{})
	case "read":
		s.asked++
		s.step(h, Event{Kind: EvReadIndex, ID: s.asked, Quorum: len(f) > 2 && f[2] == "quorum"})
	case "reads":
		for id := uint64(1); id <= s.asked; id++ {
			if r, ok := h.reads[id]; ok {
				fmt.Fprintf(&s.out, "read %d: index %d err %v\n", id, r.Index, r.Err)
			}
		}
	case "snapshot":
		s.snapshot(h, uint64(arg))
	case "crash":
		s.crash(h, arg)
	case "start":
		s.start(h)
	case "timeout-now":
		s.deliver(Message{Type: MsgTimeoutNow, From: from, To: to, Term: s.host(to).core.Term()})
	case "unfit", "fit":
		s.step(h, Event{Kind: EvUnfit, Failed: f[0] == "unfit"})
	case "hold":
		s.held = true
	case "persist":
		if len(f) < 3 {
			arg = len(h.writes)
		}
		s.persist(h, arg)
	case "status":
		for _, o := range s.hosts {
			if h == nil || h == o {
				s.status(o)
			}
		}
	case "log":
		fmt.Fprintln(&s.out, strings.TrimSpace(s.data(h)))
	default:
		require.Fail(t, "unknown command", f[0])
	}
}

func parseChanges(words []string) []Change {
	var changes []Change
	for _, w := range words {
		verb, id, _ := strings.Cut(w, "=")
		c := Change{Member: Member{ID: NodeID(num(id)), Name: "n" + id}}
		switch verb {
		case "add":
			c.Kind = ChangeAdd
		case "learner":
			c.Kind, c.Member.Learner = ChangeAdd, true
		case "promote":
			c.Kind = ChangePromote
		case "demote":
			c.Kind = ChangeDemote
		case "remove":
			c.Kind = ChangeRemove
		case "prefer":
			c.Kind, c.Member.Priority = ChangeSet, 1
		}
		changes = append(changes, c)
	}
	return changes
}

func (s *script) answers(h *host) {
	for _, a := range h.answers {
		fmt.Fprintf(&s.out, "answer %d: %v\n", a.ID, a.Err)
	}
	h.answers = nil
}

// members prints a membership: what each member is, then the old voters of a joint one.
func (s *script) members(m *Membership) {
	for _, p := range m.Members {
		fmt.Fprintf(&s.out, "%d", p.ID)
		for _, mark := range [...]struct {
			is   bool
			text string
		}{{p.Learner, " learner"}, {p.Promote, " promote"}, {p.Leaving, " leaving"}, {p.Priority > 0, " preferred"}} {
			if mark.is {
				fmt.Fprint(&s.out, mark.text)
			}
		}
		fmt.Fprint(&s.out, "; ")
	}
	if len(m.OldVoters) > 0 {
		fmt.Fprintf(&s.out, "old voters %v", m.OldVoters)
	}
	fmt.Fprintln(&s.out)
}

// show prints a message and delivers it, unless it is lost.
func (s *script) show(m *Message, lost bool) {
	name := [...]string{"", "PreVote", "PreVoteResp", "Vote", "VoteResp", "Append", "AppendResp", "ReadIndex", "ReadIndexResp", "TimeoutNow",
		"Change", "Transfer", "Answer", "State"}[m.Type]
	fmt.Fprintf(&s.out, "%d->%d %s t%d", m.From, m.To, name, m.Term)
	switch m.Type {
	case MsgPreVote, MsgVote, MsgAppend:
		fmt.Fprintf(&s.out, " at %d/t%d", m.Index, m.LogTerm)
	case MsgAppendResp:
		fmt.Fprintf(&s.out, " %d", m.Index)
		if m.Transfer {
			fmt.Fprint(&s.out, " unfit")
		}
	case MsgTransfer:
		fmt.Fprintf(&s.out, " to %d", m.Hint)
	case MsgAnswer:
		fmt.Fprintf(&s.out, " %v", answers[m.Hint])
	case MsgReadIndexResp:
		fmt.Fprintf(&s.out, " index %d", m.Index)
	}
	if m.Type == MsgAppend {
		fmt.Fprintf(&s.out, " commit %d", m.Commit)
	}
	for _, e := range m.Entries {
		fmt.Fprintf(&s.out, " [%d/t%d %s]", e.Index, e.Term, [...]string{"", string(e.Data), "noop", "members", "changes"}[e.Kind])
	}
	if m.Reject {
		fmt.Fprint(&s.out, " reject")
		if m.Type == MsgAppendResp {
			fmt.Fprintf(&s.out, " hint %d/t%d", m.Hint, m.HintTerm)
		}
	}
	if lost {
		fmt.Fprintln(&s.out, " LOST")
		return
	}
	fmt.Fprintln(&s.out)
	s.deliver(*m)
	if to := s.host(m.To); m.Type == MsgAnswer && to != nil {
		s.answers(to)
	}
}

func (s *script) status(h *host) {
	if h.core == nil {
		fmt.Fprintf(&s.out, "%d down\n", h.id)
		return
	}
	st := h.core.Status()
	role := [...]string{"follower", "pre-candidate", "candidate", "leader"}[st.Role]
	fmt.Fprintf(&s.out, "%d %s t%d leader %d log %d..%d durable %d commit %d applied %d snapshot %d\n",
		h.id, role, st.Term, st.Leader, st.FirstIndex, st.LastIndex, st.Durable, st.Commit, st.Applied, st.Snapshot)
	slices.SortFunc(st.Peers, func(a, b PeerStatus) int { return int(a.ID) - int(b.ID) })
	for _, p := range st.Peers {
		fmt.Fprintf(&s.out, "  %d %s match %d next %d inflight %d/%d\n", p.ID, p.State, p.Match, p.Next, p.InflightMsgs, p.InflightBytes)
	}
}
