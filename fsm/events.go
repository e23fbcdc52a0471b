package fsm

// EventClass is a class of keyspace events, as a bit; its letter in notify-keyspace-events stands behind it.
type EventClass uint16

// The classes.
const (
	EventGeneric EventClass = 1 << iota // g
	EventString                         // $
	EventList                           // l
	EventSet                            // s
	EventHash                           // h
	EventZSet                           // z
	EventExpired                        // x
	EventEvicted                        // e
	EventStream                         // t
	EventMiss                           // m
	EventNew                            // n
)

// Notifier is told what happens to keys, by the names that Redis' keyspace notifications have. It looks on; nothing of the state
// depends on it. Whoever delivers the events chooses those whose class is wanted; while none is, there should be no Notifier:
// then nothing here costs anything.
//
// Every node tells the same events in the same order, as it applies the log; only those of EventMiss come from where a read is
// served, in any order, and from any goroutine. The others come from the applier. They are called under the locks of the keys:
// they must return at once and call nothing of the Store.
type Notifier interface {
	// KeyEvent says that event has happened to a key of database db. key is valid during the call.
	KeyEvent(class EventClass, event string, db int, key []byte)
}

// SetNotifier makes n the notifier from the next command on; nil ends it. Any goroutine.
func (s *Store) SetNotifier(n Notifier) {
	if n == nil {
		s.notifier.Store(nil)
		return
	}
	s.notifier.Store(&n)
}

// A command that changes a key tells one event, named as the command is or as its Spec.Event says: with every change that write
// or changed reports. What removes a key tells "del" besides, what adds one "new" before. Commands that do it in another way use
// the methods below.

// events is the part of a Tx that tells events.
type events struct {
	to    Notifier // nil = nobody is told; then nothing else counts
	class EventClass
	name  string // of a change; "" = it is not told
}

// noEvent as Spec.Event says that changes are not told, or by the command itself.
const noEvent = "-"

var groupClasses = map[string]EventClass{
	"string": EventString, "bitmap": EventString, "hyperloglog": EventString, "list": EventList, "set": EventSet, "hash": EventHash,
	"sorted-set": EventZSet, "geo": EventZSet, "stream": EventStream, "generic": EventGeneric,
}

// listen prepares for the events of a command.
func (tx *Tx) listen(to *Notifier, spec *Spec) {
	tx.events = events{}
	if to == nil {
		return
	}
	tx.events = events{to: *to, class: groupClasses[spec.Group], name: spec.Name}
	switch spec.Event {
	case "":
	case noEvent:
		tx.events.name = ""
	default:
		tx.events.name = spec.Event
	}
}

// called says how changes of keys are called from here on, and returns how they were; "" = they are not told.
func (tx *Tx) called(name string) (before string) {
	before, tx.events.name = tx.events.name, name
	return before
}

// tell tells an event of a key of the command's database.
func (tx *Tx) tell(class EventClass, name string, key []byte) {
	if to := tx.events.to; to != nil {
		to.KeyEvent(class, name, tx.DB, key)
	}
}

// missed tells that a write looks for a key as reads do, if it is not there.
func (tx *Tx) missed(key []byte) {
	if tx.events.to == nil {
		return
	}
	if it := tx.peek(key); it.absent() {
		tx.tell(EventMiss, "keymiss", key)
	}
}

// tellChange tells that the key at p has changed.
func (tx *Tx) tellChange(p *place) {
	if e := &tx.events; e.to != nil && e.name != "" {
		e.to.KeyEvent(e.class, e.name, p.num, p.key())
	}
}

// tellAt tells an event of the key at p.
func (tx *Tx) tellAt(p *place, class EventClass, name string) {
	if to := tx.events.to; to != nil {
		to.KeyEvent(class, name, p.num, p.key())
	}
}
