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
	"wall time jumped", "a history that took too long to judge",
}

// Missing returns the rare situations that none of the runs has met.
func (t *Total) Missing() []string {
	var names []string
	for c := range verdictUnknown {
		if t.Reached[cornerNames[c]] == 0 {
			names = append(names, cornerNames[c])
		}
	}
	return names
}

func (w *World) reach(c corner) { w.reached[c]++ }
