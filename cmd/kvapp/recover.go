package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kvapp/raft"
	"kvapp/wal"
)

// kvapp recover, for a cluster that has lost a majority of its disks for good. It makes a cluster of its own of what is
// left, offline, on the nodes' directories.
//
// What is promised again afterwards, and why. Entries of one term come from one leader, so of two logs that end in the same
// term the longer one holds the other. Of two that end in different terms, the leader of the later term had everything that
// was committed before; but the other log may hold what was committed after. So the log whose last entry has the highest
// term, and among those the highest index, may found the new cluster, if it holds all that any survivor knows to be
// committed; if not, that survivor goes before it. Several may found it together if they all end at the same entry, because
// then their logs are the same. Each of them appends the same entry, a membership of the survivors alone, in a term above
// all of theirs, so that nobody is elected without it. What only the lost nodes had is lost, acknowledged or not, and what
// the survivors had not known to be committed is final now. A survivor that is behind has no part in it: it starts with an
// empty directory and joins.
//
// The new cluster has an id of its own, which follows from the old one and from who survives. A lost node that comes back
// after all is refused by it and refuses it. It can still form the old cluster, with others that come back: whoever
// recovers has to be sure that these nodes are gone or stay away from clients.

// maxPosition bounds the numbers of a position: no log has come so far.
const maxPosition = 1 << 60

// position is where a node's log ends: what survivors are compared by.
type position struct {
	name       string
	term       uint64 // the highest the node has seen
	lastTerm   uint64 // of the last entry
	last       uint64 // its index
	commitTerm uint64 // of the last entry that the node knows to be committed
	commit     uint64 // its index
}

func (p position) String() string {
	return fmt.Sprintf("%s:%d/%d/%d/%d/%d", p.name, p.term, p.lastTerm, p.last, p.commitTerm, p.commit)
}

// sameLog says that two logs end at the same entry, which makes them the same.
func (p position) sameLog(o position) bool { return p.lastTerm == o.lastTerm && p.last == o.last }

// behind says that o's log may hold more that was committed.
func (p position) behind(o position) bool {
	return p.lastTerm < o.lastTerm || p.lastTerm == o.lastTerm && p.last < o.last
}

func parsePosition(text string) (p position, err error) {
	name, rest, ok := strings.Cut(text, ":")
	parts := strings.Split(rest, "/")
	if !ok || name == "" || len(parts) != 5 {
		return p, fmt.Errorf("%q is not name:term/term/index/term/index, as kvapp recover prints it", text)
	}
	p.name = name
	for i, to := range []*uint64{&p.term, &p.lastTerm, &p.last, &p.commitTerm, &p.commit} {
		if *to, err = strconv.ParseUint(parts[i], 10, 64); err != nil {
			return p, fmt.Errorf("%q: %w", text, err)
		}
	}
	if p.term > maxPosition || p.last > maxPosition || p.lastTerm > p.term || p.commitTerm > p.lastTerm || p.commit > p.last {
		return p, fmt.Errorf("%q is where no log ends", text)
	}
	return p, nil
}

// recovery is the plan for one directory.
type recovery struct {
	dir        string
	rec        wal.Recovered
	id         wal.Identity
	membership raft.Membership
	self       position
	left       []position // all nodes that are left, self among them, by name
	survivors  []position // those of them that form the new cluster: with the same log, the best
}

func recoverCommand() *cobra.Command {
	var dir, line string
	var yes bool
	cmd := &cobra.Command{
		Use:   "recover --dir DIR",
		Short: "Make a new cluster of what is left, when a majority of the disks is lost",
		Long: "Make a new cluster of what is left, when a majority of the disks is lost for good.\n\n" +
			"Without an answer it only shows what DIR holds: run it on every node that is left, and compare. The node must not run.\n" +
			"Run it as the user that the node runs as. After a crash in the middle, run it again: DIR is as it was, or it is done.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return recoverDir(cmd.Context(), dir, line, yes, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the node")
	cmd.Flags().StringVar(&line, "survivors", "", "positions of all nodes that are left, the same on each: as printed, n1:...,n2:...; without it, this node alone")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// recoverDir shows what dir holds and, when that is wished, makes it the log of a new cluster. The end of ctx is a no to the
// question.
func recoverDir(ctx context.Context, dir, line string, yes bool, in io.Reader, out io.Writer) (err error) {
	if dir == "" {
		return errors.New("--dir is missing: the directory of the node to recover")
	}
	if err := checkOwner(dir, os.Geteuid()); err != nil {
		return err
	}
	log, rec, err := wal.Open(dir, wal.Identity{}, wal.Options{})
	if errors.Is(err, wal.ErrLocked) {
		return fmt.Errorf("the node is running: stop it first (%w)", err)
	}
	if err != nil {
		return err
	}
	defer func() {
		if closed := log.Close(); err == nil {
			err = closed
		}
	}()
	if err := checkBeside(dir); err != nil {
		return err
	}
	r, err := newRecovery(dir, line, rec, log.Last())
	if err != nil {
		return err
	}
	r.show(out)
	if err := r.check(); err != nil {
		return err
	}
	r.warn(out)
	if !yes {
		if err := confirm(ctx, r.id.Name, in, out); err != nil {
			return err
		}
	}
	cluster, hard, entry := r.plan()
	if err := log.Refound(cluster, hard, entry); err != nil {
		return err
	}
	fmt.Fprintf(out, "recovered   %s is in cluster %s now, of %s. Start it as before.\n", r.id.Name, cluster, nodeNames(r.survivors))
	return nil
}

// checkOwner refuses the directory of another user: a file that root makes there, its node could not open any more.
func checkOwner(dir string, uid int) error {
	owner, err := wal.Owner(dir)
	if err == nil && owner != uid {
		err = fmt.Errorf("%s belongs to user %d, and this is user %d: run it as the user that the node runs as", dir, owner, uid)
	}
	return err
}

// checkBeside looks at what a node reads at its start beside the log: who finds damage there only then has no way back.
func checkBeside(dir string) error {
	o, err := readOrigin(dir)
	if err == nil && o.aside != 0 {
		err = fmt.Errorf("a change of %s is not finished: start the node once", dir)
	}
	if err != nil {
		return err
	}
	if _, err := wal.Verify(dir); err != nil { // reads the snapshot, which Open does not
		return err
	}
	_, err = wal.OpenRegistry(dir)
	return err
}

func newRecovery(dir, line string, rec wal.Recovered, last uint64) (*recovery, error) {
	m, err := lastMembership(rec)
	if err != nil {
		return nil, err
	}
	r := &recovery{
		dir: dir, rec: rec, id: rec.Identity, membership: m,
		self: position{name: rec.Identity.Name, term: rec.Hard.Term, last: last, commit: rec.Hard.Commit},
	}
	r.self.lastTerm, r.self.commitTerm = r.termOf(last), r.termOf(rec.Hard.Commit)
	if line == "" {
		r.left = []position{r.self}
		r.survivors = r.left
		return r, nil
	}
	for _, part := range strings.Split(line, ",") {
		p, err := parsePosition(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("--survivors: %w", err)
		}
		r.left = append(r.left, p)
	}
	slices.SortFunc(r.left, func(a, b position) int { return cmp.Compare(a.name, b.name) })
	best := r.left[0]
	for _, p := range r.left {
		if best.behind(p) {
			best = p
		}
	}
	for _, p := range r.left {
		if p.sameLog(best) {
			r.survivors = append(r.survivors, p)
		}
	}
	return r, nil
}

// termOf is the term of an entry that is the last of the snapshot or behind it, 0 if it is not in the log.
func (r *recovery) termOf(index uint64) uint64 {
	s := r.rec.Snapshot.Meta
	switch {
	case index == s.Index:
		return s.Term
	case index < s.Index || index > s.Index+uint64(len(r.rec.Entries)):
		return 0
	}
	return r.rec.Entries[index-s.Index-1].Term
}

// holds says whether what p knows to be committed is in this log. What a snapshot covers is committed, and so the same.
func (r *recovery) holds(p position) bool {
	return p.commit < r.rec.Snapshot.Meta.Index || r.termOf(p.commit) == p.commitTerm
}

// show tells what the directory holds.
func (r *recovery) show(out io.Writer) {
	fmt.Fprintf(out, "node        %s, incarnation %s, of cluster %s\n", r.id.Name, hexText(r.id.Incarnation), r.id.Cluster)
	fmt.Fprintf(out, "log         entries %d to %d, snapshot at %d, term %d\n", r.rec.First, r.self.last, r.rec.Snapshot.Meta.Index, r.self.term)
	fmt.Fprintf(out, "committed   up to %d, as far as this node knows\n", r.self.commit)
	for i, m := range r.membership.Members {
		title, part := "", "voter"
		if i == 0 {
			title = "members"
		}
		switch {
		case m.Leaving:
			part = "voter that is being removed"
		case m.Learner:
			part = "learner"
		}
		fmt.Fprintf(out, "%-11s %s %s, %s\n", title, m.Name, m.ClientAddr, part)
	}
	for _, note := range r.rec.Notes {
		fmt.Fprintf(out, "repaired    %s\n", note)
	}
	fmt.Fprintf(out, "position    %s\n", r.self)
}

// check refuses what would lose more than is lost already.
func (r *recovery) check() error {
	if r.self.last == 0 || len(r.membership.Members) == 0 {
		return fmt.Errorf("%s holds no data: there is nothing to recover", r.dir)
	}
	if r.majority() {
		return fmt.Errorf("nothing is to be recovered: with %s there is a majority of %s; start what is left", nodeNames(r.left), r.id.Cluster)
	}
	own := false
	for i, p := range r.left {
		if i > 0 && r.left[i-1].name == p.name {
			return fmt.Errorf("--survivors names %s twice", p.name)
		}
		if r.member(p.name) == nil {
			return fmt.Errorf("%s is no member of the cluster, as this node knows it", p.name)
		}
		switch {
		case p.name != r.self.name:
		case p != r.self:
			return fmt.Errorf("--survivors says %s, but this node is at %s", p, r.self)
		default:
			own = true
		}
	}
	switch {
	case !own:
		return errors.New("--survivors does not name this node")
	case r.self.behind(r.survivors[0]):
		return fmt.Errorf("%s may hold writes that this node does not: recover there, and start this one with an empty directory and --join",
			nodeNames(r.survivors))
	}
	for _, p := range r.left {
		if !r.holds(p) {
			return fmt.Errorf("%s knows that entry %d of term %d is committed, and it is not in this log: recover without %s, which comes back "+
				"with an empty directory and --join", p.name, p.commit, p.commitTerm, nodeNames(r.survivors))
		}
	}
	return nil
}

func (r *recovery) member(name string) *raft.Member {
	for i := range r.membership.Members {
		if m := &r.membership.Members[i]; m.Name == name {
			return m
		}
	}
	return nil
}

// learnersOnly says that no survivor has voted: then nothing that was acknowledged had to reach any of them.
func (r *recovery) learnersOnly() bool {
	return !slices.ContainsFunc(r.survivors, func(p position) bool {
		m := r.member(p.name)
		return !m.Learner || m.Leaving
	})
}

// majority says whether what is left can elect a leader as it is.
func (r *recovery) majority() bool {
	survives := func(id raft.NodeID) bool {
		return slices.ContainsFunc(r.left, func(p position) bool { return raft.NodeIDFromName(p.name) == id })
	}
	most := func(voters []raft.NodeID) bool {
		n := 0
		for _, id := range voters {
			if survives(id) {
				n++
			}
		}
		return n > len(voters)/2
	}
	var voters []raft.NodeID
	for _, m := range r.membership.Members {
		if !m.Learner {
			voters = append(voters, m.ID)
		}
	}
	return most(voters) && (len(r.membership.OldVoters) == 0 || most(r.membership.OldVoters))
}

func nodeNames(list []position) string {
	var names []string
	for _, p := range list {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// warn tells what will be lost and what to make sure of.
func (r *recovery) warn(out io.Writer) {
	fmt.Fprintf(out, "\nA new cluster will be made of %s.\n", nodeNames(r.survivors))
	fmt.Fprintf(out, "- Writes that were acknowledged and are not in this log, which ends with entry %d of term %d, are lost.\n",
		r.self.last, r.self.lastTerm)
	if r.self.last > r.self.commit {
		fmt.Fprintf(out, "- Entries %d to %d become final, though their clients may have been told otherwise.\n", r.self.commit+1, r.self.last)
	}
	if r.learnersOnly() {
		fmt.Fprintf(out, "- No voter is among them: how much they miss, nobody can say.\n")
	}
	if len(r.left) == 1 {
		fmt.Fprintf(out, "- Look at every node that is left in this way first, and give the positions of all with --survivors. The one\n"+
			"  with the highest second number, then third, has the most; with --survivors that is checked.\n")
	}
	for _, p := range r.left {
		if !p.sameLog(r.self) {
			fmt.Fprintf(out, "- %s is behind, and has no part in it.\n", p.name)
		}
	}
	fmt.Fprintf(out, "- The other nodes must never serve again with what they hold: together they could still be the old cluster.\n"+
		"  They come back with an empty directory and --join.\n")
}

var errUnchanged = errors.New("nothing was changed")

// confirm waits for the node's name. An interrupt ends ctx, not the process: who answers with that means no.
func confirm(ctx context.Context, name string, in io.Reader, out io.Writer) error {
	fmt.Fprintf(out, "\nType %s to go on: ", name)
	said := make(chan error, 1)
	go func() { // it waits for in as long as the process lives, if nobody answers
		answer, err := bufio.NewReader(in).ReadString('\n')
		switch {
		case strings.TrimSpace(answer) == name:
			err = nil
		case err == nil || err == io.EOF:
			err = errUnchanged
		default:
			err = fmt.Errorf("read the answer: %w", err)
		}
		said <- err
	}()
	var err error
	select {
	case err = <-said:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		err = errUnchanged
	}
	fmt.Fprintln(out)
	return err
}

// plan is what is to be written: the same on every survivor.
func (r *recovery) plan() (cluster string, hard raft.HardState, e raft.Entry) {
	h := sha256.New()
	fmt.Fprintf(h, "recovered from %s\n", r.id.Cluster)
	term := uint64(0)
	for _, p := range r.survivors {
		fmt.Fprintln(h, p)
		term = max(term, p.term, p.lastTerm)
	}
	var m raft.Membership
	for _, old := range r.membership.Members {
		if slices.ContainsFunc(r.survivors, func(p position) bool { return p.name == old.Name }) {
			old.Learner, old.Promote, old.Leaving = false, false, false
			m.Members = append(m.Members, old)
		}
	}
	hard = raft.HardState{Term: term + 1, Commit: r.self.commit}
	e = raft.Entry{Index: r.self.last + 1, Term: term + 1, Kind: raft.EntryMembership, Data: raft.AppendMembership(nil, m)}
	return hex.EncodeToString(h.Sum(nil)[:16]), hard, e
}
