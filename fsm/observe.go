package fsm

// Observer is told which keys entries change: what the caches of clients need. It looks on; nothing of the state
// depends on it.
//
// Its methods are called by the applier, under the exclusive locks of the keys concerned: they must return at once and
// call nothing of the Store. A read that has not seen a change therefore ended before the Observer was told of it.
type Observer interface {
	// KeyChanged says that a key got another value or another deadline, came or went, in some database. One command may
	// report a key several times. by is the Out of the command: it tells whose command it was. key is valid during the call.
	KeyChanged(key []byte, by Out)
	// AllChanged says that whole databases were dropped, exchanged or, with by nil, replaced by a snapshot.
	AllChanged(by Out)
}

// SetObserver makes o the observer from the next change on; nil ends it. Any goroutine.
func (s *Store) SetObserver(o Observer) {
	if o == nil {
		s.observer.Store(nil)
		return
	}
	s.observer.Store(&o)
}

// note tells the observer of the key at p.
func (tx *Tx) note(p *place) {
	if o := tx.s.observer.Load(); o != nil {
		(*o).KeyChanged(p.key(), tx.by)
	}
}

// noteAll tells the observer that whole databases changed.
func (s *Store) noteAll(by Out) {
	if o := s.observer.Load(); o != nil {
		(*o).AllChanged(by)
	}
}
