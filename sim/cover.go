package sim

// corner is a rare situation. Over a corpus of seeds each must have been met, or the corpus proves nothing about it.
type corner uint8

const (
	messageSlow corner = iota
	messageTwice
	messageReplayed
	linkCut
	linkClogged
	nodePaused
	fetched
	snapshotTaken
	snapshotSent
	snapshotCut
	snapshotInstalled
	snapshotThere
	snapshotResumed
	leaseRead
	leaseExpired
	quorumRead
	outcomeUncertain
	outcomeRefused
	outcomeOverwritten
	clientGaveUp
	elected
	steppedDown
	logCut
	commitWithoutOwnDisk
	diskStalled
	diskHung
	diskError
	diskFull
	rotDetected
	wipedRefused
	tornTail
	crashKeptWrite
	crashLostWrite
	processKilled
	powerFailed
	clockJumped
	changeDone
	jointEntered
	jointLeft
	jointLeftByAnother
	learnerPromoted
	leaderRemoved
	transferSent
	transferDone
	transferTimedOut
	readWaitsForNoop
	voteRefused
	windowFull
	stalledSteppedDown
	majorityLost
	diskRefused
	fullHandedOver
	keyEvicted
	evictionSpared
	memoryRefused
	memoryChanged
	commandWaits
	waitServed
	waitTimedOut
	waitUnblocked
	waitForced
	waiterGone
	transactionDone
	transactionBroken
	transactionReads
	changePending // from here on: once in a hundred worlds and less
	writesLost
	tailFinal
	changeCut
	termsCut
	writeOverwritten
	snapshotSpoiled
	stateMissing
	stateRebuilt
	stateReceived
	waitOrphaned
	waitGivenUp
	verdictUnknown // none of the corners that a corpus must meet
	corners
)

var cornerNames = [corners]string{
	"a message took very long", "a message came twice", "an old message came again", "a link cut", "a link clogged", "a node paused",
	"entries read back from the journal", "a snapshot taken", "a snapshot sent",
	"a snapshot stream cut", "a snapshot installed",
	"a snapshot sent to who has it", "a snapshot stream resumed", "a read by the lease", "a lease expired during a read", "a read by a quorum",
	"a client told that nobody knows", "a client told that nothing happened", "a client told that its entry was replaced",
	"a client gave up", "a leader elected", "a leader stepped down", "the end of a log cut off", "committed without the leader's own disk",
	"a write took very long", "a disk hung", "a node stopped by its disk", "a disk was full", "rot detected", "a wiped disk refused",
	"a torn tail cut off", "a write survived the crash in it", "a write was lost in a crash", "a process killed", "a power failure",
	"wall time jumped",
	"a membership changed", "a joint membership committed", "a joint membership left",
	"a joint membership left by another leader", "a learner promoted", "a leader removed itself",
	"a leader handed over", "a transfer done", "a transfer given up",
	"a read waits for the leader's first entry", "a vote refused for the lease",
	"a window full", "a leader stepped down because of its disk",
	"a majority lost for good", "a write refused for want of room on the disk", "a leader with a full disk handed over",
	"a key evicted", "a key stayed that was written to before its eviction", "a write refused for want of memory", "a limit of memory changed",
	"a command waits", "a wait fed", "a wait over in time", "a wait ended by another client", "waits ended by a new leader", "a waiting client gone",
	"a transaction executed", "a transaction not executed because a watched key had changed", "a transaction that only reads",
	"a change refused because of another", "acknowledged writes lost with a majority", "entries final that were not committed before",
	"a membership cut off", "the end of a log with several terms cut off",
	"a write done for entries already replaced",
	"a snapshot file damaged", "a node starts without a state", "a state rebuilt from the own disk", "a state received by a node without one",
	"a command waits for a client that was told that nobody knows", "a wait given up by a node that leads no more",
	"a history that took too long to judge",
}

// Missing returns the rare situations that none of the runs has met. A thousand small worlds meet all of them; with few
// set, those are left out that a hundred may miss.
func (t *Total) Missing(few bool) []string {
	end := verdictUnknown
	if few {
		end = changePending
	}
	var names []string
	for c := range end {
		if t.Reached[cornerNames[c]] == 0 {
			names = append(names, cornerNames[c])
		}
	}
	return names
}

func (w *World) reach(c corner) { w.reached[c]++ }
