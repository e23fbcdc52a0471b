package fsm

// Observer is told which keys entries change: what the caches of clients need, and WATCH. It looks on; nothing of the state
// depends on it.
//
// Its methods are called by the applier, under the exclusive locks of the keys concerned: they must return at once and
// call nothing of the Store. A read that has not seen a change therefore ended before the Observer was told of it.
type Observer interface {
	// KeyChanged says that a key of database db got another value or another deadline, came or went. One command may report a
	// key several times. expired keys went because they were due. by is the Out of the command: it tells whose command it was.
	// key is valid during the call.
	KeyChanged(db int, key []byte, expired bool, by Out)
	// AllChanged says that whole databases are dropped, exchanged or, with by nil, replaced by a snapshot. touched tells during
	// the call whether that makes a difference to a key: whether it is there, before or after; nil means that nothing is known.
	AllChanged(touched func(db int, key []byte) bool, by Out)
}

// SetObserver makes o the observer from the next change on; nil ends it. Any goroutine.
func (s *Store) SetObserver(o Observer) {
	if o == nil {
		s.observer.Store(nil)
		return
	}
	s.observer.Store(&o)
}

// note tells the observer of the key at p, and notes that who waits for it is to be served.
func (tx *Tx) note(p *place) {
	if q := &tx.s.waits; q.n != 0 {
		q.written(p.num, p.key())
	}
	if o := tx.s.observer.Load(); o != nil {
		(*o).KeyChanged(p.num, p.key(), false, tx.by)
	}
}

// noteExpired tells the observer of the key at p, which is going to be deleted because it is due.
func (tx *Tx) noteExpired(p *place) {
	if q := &tx.s.waits; q.n != 0 {
		q.written(p.num, p.key())
	}
	if o := tx.s.observer.Load(); o != nil {
		(*o).KeyChanged(p.num, p.key(), true, tx.by)
	}
}

// noteAll tells the observer that whole databases change, and who waits; see Observer.
func (s *Store) noteAll(touched func(db int, key []byte) bool, by Out) {
	if s.waits.n != 0 && touched != nil {
		s.waits.writtenAll(touched)
	}
	if o := s.observer.Load(); o != nil {
		(*o).AllChanged(touched, by)
	}
}

// has says that database n holds the key and it is not due.
func (tx *Tx) has(n int, key []byte) bool {
	db := tx.s.dbs[n].Load()
	if db == nil {
		return false
	}
	_, _, rec := db.find(int(Slot(key)), hashKey(tx.s.seed, key), key, -1)
	it := item{rec, db.objects.dir.Load()}
	return rec != nil && !it.expired(tx.now)
}
