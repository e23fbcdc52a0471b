package recovery

import (
	"fmt"
	"io"
)

// Show tells what the directory holds.
func (r *Recovery) Show(out io.Writer) {
	fmt.Fprintf(out, "node        %s, incarnation %s, of cluster %s\n", r.rec.Identity.Name, fmt.Sprintf("%016x", r.rec.Identity.Incarnation), r.rec.Identity.Cluster)
	fmt.Fprintf(out, "log         entries %d to %d, snapshot at %d, term %d\n", r.rec.First, r.self.Last, r.rec.Snapshot.Meta.Index, r.self.Term)
	fmt.Fprintf(out, "committed   up to %d, as far as this node knows\n", r.self.Commit)
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

// Warn tells what will be lost and what to make sure of.
func (r *Recovery) Warn(out io.Writer) {
	fmt.Fprintf(out, "\nA new cluster will be made of %s.\n", nodeNames(r.survivors))
	fmt.Fprintf(out, "- Writes that were acknowledged and are not in this log, which ends with entry %d of term %d, are lost.\n",
		r.self.Last, r.self.LastTerm)
	if r.self.Last > r.self.Commit {
		fmt.Fprintf(out, "- Entries %d to %d become final, though their clients may have been told otherwise.\n", r.self.Commit+1, r.self.Last)
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
			fmt.Fprintf(out, "- %s is behind, and has no part in it.\n", p.Name)
		}
	}
	fmt.Fprintf(out, "- The other nodes must never serve again with what they hold: together they could still be the old cluster.\n"+
		"  They come back with an empty directory and --join.\n")
}
