// Package sim runs whole clusters in one goroutine, from one number: the real consensus core, the real node.Driver and
// the real fsm.Store, on a simulated network, disk and clock, with clients that check every answer.
//
//	result := sim.Run(sim.Draw(seed), sim.Config{})
//
// # One world
//
// A World is a heap of events in true time (heap.go) and up to seven hosts (host.go). A host is a machine: its clock has
// an offset and a drift, its process can stand still or be busy. An event is given to node.Driver.Handle; the turn ends
// with EndTurn, whose Work is carried out by the same functions that the goroutines of node.Node call, only that the time
// they take is drawn. Nothing else moves: no goroutine, no real clock, no map that is walked.
//
// # Chance
//
// Draw takes the options of a world from its seed: which classes of faults it has and how strong, how large the limits
// are. Half of the worlds are small, because small limits are reached sooner. While the world runs, everything that
// happens by chance has an address (choice.go): class, whose, number. Whether it happens follows from seed and address.
//
// In an eighth of the worlds a majority of the disks is lost for good when the faults end, what is left is recovered as by kvapp
// recover, and goes on as a cluster of its own (lost.go). The model takes back what the new cluster does not have.
//
// # What is checked
//
// After every turn, in time that does not grow with the history (invariants.go): one leader and one vote per node in a
// term; what a message promises is on the disk before it leaves; entries of one index and term are equal, and so is all
// before them; what is committed is on a majority of disks, is the same everywhere and in every later leader's log; numbers
// only grow; states are equal at equal indices; no leader has a lease while another term commits. raft.Check and the
// leader's view of its peers are looked at every few turns. What a node may do at all is looked at when it does it
// (duties.go): who leads has the votes, who confirms a read has been answered since, who changes the membership has
// committed the change before.
//
// The model (model.go) is a second implementation of the commands that clients use. It executes the one history once, and
// every answer that a client gets is compared with it: exact replies at the exact entry, reads no older than what anybody
// had seen, nothing executed twice, nothing executed that was refused. Porcupine gives a second opinion from what clients
// saw, and what the log says of commands in doubt (history.go). In half of the worlds clients also send commands that the
// model does not know, of all types, with deadlines and random choices (sundry.go): the states of the nodes must be equal.
//
// In a third of the worlds keys may take no more than a small limit, which changes now and then (memory.go). The model knows
// evictions from the log: nothing else may take a key away, nor what its policy spares. Keys take the same on all nodes,
// never much more than the limit, and no more than it when the cluster is at rest; what is refused for want of memory
// stands in no log.
//
// In another third clients push to lists and wait for what others push, hang up, and are unblocked (lists.go, waits.go). The model
// executes that from the log, too: each answer must be the one that it says, given by the entry that it says. A wait ends only when
// somebody wants that, none outlives its leader for long, and in the end nobody waits.
//
// In another third they send transactions, also with versions that another leader told them (transactions.go). The log says which are
// executed, and each as one: its reads show what its own commands before have written, and one that only reads shows the state
// behind one entry.
//
// When the faults have ended, a random quorum is healed and must elect, commit, answer, agree and then be quiet
// (liveness.go). Then every node holds what the model does, key by key.
//
// The corners (cover.go) count situations that are rare: a corpus of seeds must have met each of them.
//
// # Same seed, same bytes
//
// Every event goes into the hash of the run. Two runs of one seed must have the same hash.
//
// # Fewer bytes, same failure
//
// A Case is a world with some of its chance left out. Shrink looks for the smallest one that still fails (shrink.go); its
// text is short enough to be read, and kept. testdata/seeds.txt has the worlds that found a bug.
package sim
