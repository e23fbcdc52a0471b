// Package recovery plans what becomes of a cluster that has lost a majority of its disks for good: kvapp recover makes a cluster
// of its own of what is left, offline, on the nodes' directories. What it plans follows from what the logs hold, and the
// simulator runs the same plans.
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
package recovery
