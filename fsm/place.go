package fsm

import (
	slotdict "kvapp/fsm/dict"
	"kvapp/fsm/slab"
)

// find returns a key for reading; it is absent also when it is due. It counts as a hit or miss, and as a use of the key.
func (tx *Tx) find(key []byte) item { return tx.seek(key, true) }

// look is find that is no use of the key, as Redis has it for commands that look at keys from outside.
func (tx *Tx) look(key []byte) item { return tx.seek(key, false) }

// inspect is look for commands that tell no miss either.
func (tx *Tx) inspect(key []byte) item {
	tx.events.to = nil
	return tx.look(key)
}

func (tx *Tx) seek(key []byte, use bool) item {
	slot, hash := tx.address(key)
	sh := &tx.s.shards[slot/pageSlots]
	if db := tx.s.dbs[tx.DB].Load(); db != nil {
		if pos, _, rec := db.find(slot, hash, key, tx.hint); rec != nil && !(rec.mayExpire() && db.past(rec, tx.now)) {
			tx.hint = pos
			if now := tx.s.use.Load(); rec.usedBefore(now) && use && !tx.quiet {
				tx.s.changeUse(rec, now, sh.hits.Load())
			}
			sh.hits.Add(1)
			return item{rec, db.objects.dir.Load()}
		}
	}
	sh.misses.Add(1)
	tx.tell(EventMiss, "keymiss", key)
	return item{}
}

// place is where a write found a key. It is valid until the next change of the same database by other means.
type place struct {
	item // absent: the key is not there
	db   *database
	slot int
	pos  int
	ref  slab.Ref
	hash uint32
	num  int // of the database
}

// findWrite returns the place of a key of database n for changing it. A due key is deleted first. With ok false the
// key is absent.
func (tx *Tx) findWrite(n int, key []byte) (p place, ok bool) {
	p.slot, p.hash = tx.address(key)
	p.num = n
	if p.db = tx.s.dbs[n].Load(); p.db == nil {
		return p, false
	}
	if p.pos, p.ref, p.record = p.db.find(p.slot, p.hash, key, tx.hint); p.record == nil {
		return p, false
	}
	tx.hint = p.pos
	p.objs = p.db.objects.dir.Load()
	if p.expired(tx.now) {
		tx.removeDue(&p)
		tx.s.expired.Add(1)
		return p, false
	}
	if now := tx.s.use.Load(); p.usedBefore(now) && !tx.quiet {
		tx.changeUse(&p, now)
	}
	return p, true
}

// dict returns the dictionary of p for changing it: what a frozen view may still read becomes a copy first.
func (tx *Tx) dict(p *place) *slotdict.Dict {
	page, shared := tx.page(p)
	d := &page.dicts[p.slot%pageSlots]
	d.Own(tx.s.epoch, shared)
	return d
}

// page returns the page of p for changing it, and whether there are views.
func (tx *Tx) page(p *place) (page *slotPage, shared bool) {
	s, i := tx.s, p.slot/pageSlots
	shared = s.views.Load() != 0
	page = p.db.pages[i]
	switch {
	case page == nil:
		page = new(slotPage)
		p.db.pages[i] = page
	case shared && p.db.epochs[i] != s.epoch:
		c := *page
		page = &c
		p.db.pages[i] = page
	}
	if shared {
		p.db.epochs[i] = s.epoch
	}
	return page, shared
}

// count adds to the sum of p's slot.
func (tx *Tx) count(p *place, sum uint64) {
	page, _ := tx.page(p)
	page.sums[p.slot%pageSlots] += sum
}

// shared says that a frozen view may show the record at p, and its object.
func (tx *Tx) shared(p *place) bool {
	s := tx.s
	if s.views.Load() == 0 {
		return false
	}
	if p.enc() == encObject {
		return p.objs.at(p.handle()).epoch != s.epoch
	}
	if s.seen != s.epoch { // all that has been written so far may be in the new view
		s.seen, s.frozenAt = s.epoch, s.lastIndex
	}
	return p.version() <= s.frozenAt
}

// layout is what a record has besides its key and its value's bytes.
type layout struct {
	enc  encoding
	n    int   // bytes of the value in the record
	text int64 // see item.textLen
	at   int64 // the deadline in Unix ms, 0 = none
	sum  uint64
}

// write gives the key at p another value and deadline, or adds the key if it is absent. The caller writes the value into
// what write returns, before anything else; its source may not be the old value.
func (tx *Tx) write(p *place, key []byte, l layout) (value []byte) {
	if p.absent() {
		return tx.insert(p, key, l)
	}
	if d := l.text - p.textLen(); d != 0 {
		p.db.mem.Add(d)
	}
	k := hashBytes(key)
	tx.count(p, entrySum(k, l.sum, l.at)-entrySum(k, p.sum(), p.deadline()))
	head := makeHead(l.enc, len(key), l.n, l.at)
	size, old, oldRef := headSize(head), p.record, p.ref
	use := old.use()
	hasObject, h := p.enc() == encObject, handle(0)
	if hasObject {
		h = p.handle()
		tx.unlinkFields(p)
		tx.s.release(p.objs.at(h))
	}
	shared := tx.shared(p)
	stays := !shared && (size == len(old) || slab.Size(size) == slab.Size(len(old)))
	relink := l.at != old.deadline() || l.at != 0 && !stays
	if relink {
		tx.unlinkDeadline(p, l.at)
	}
	if stays {
		if headKeyAt(head) == headKeyAt(old.head()) {
			key = nil // it stands there already
		}
		p.record = p.db.arena.Bytes(p.ref, size)
		p.fill(head, tx.s.index, use, l.at, key)
		if hasObject {
			p.db.objects.drop(h)
		}
	} else {
		tx.move(p, size)
		p.fill(head, tx.s.index, use, l.at, key)
		p.db.discard(oldRef, len(old), h, hasObject, shared, tx.s.epoch)
	}
	if relink {
		tx.linkDeadline(p)
	}
	tx.note(p)
	tx.tellChange(p)
	return p.value()
}

// insert adds the absent key of p; see write.
func (tx *Tx) insert(p *place, key []byte, l layout) (value []byte) {
	if p.db == nil {
		p.db = newDatabase()
		tx.s.dbs[p.num].Store(p.db)
	}
	head := makeHead(l.enc, len(key), l.n, l.at)
	size := headSize(head)
	p.ref = p.db.arena.Alloc(size)
	p.record, p.objs = p.db.arena.Bytes(p.ref, size), p.db.objects.dir.Load()
	p.fill(head, tx.s.index, tx.s.newUse(), l.at, key)
	p.pos = tx.dict(p).Put(slotdict.Tag(p.hash), p.ref)
	tx.hint = p.pos
	k := hashBytes(key)
	tx.count(p, entrySum(k, l.sum, l.at)+placeSum(p.pos, k))
	p.db.counts.add(p.slot, 1)
	p.db.keys.Add(1)
	p.db.mem.Add(entryCost + int64(len(key)) + l.text)
	tx.linkDeadline(p)
	tx.note(p)
	tx.tellAt(p, EventNew, "new")
	tx.tellChange(p)
	return p.value()
}

// move gives the key at p a new record of size bytes, which the caller fills; the old one is the caller's to discard.
func (tx *Tx) move(p *place, size int) {
	p.ref = p.db.arena.Alloc(size)
	p.record = p.db.arena.Bytes(p.ref, size)
	tx.dict(p).Set(p.pos, p.ref)
}

// remove takes the key at p out of its database, and its value out of the state.
func (tx *Tx) remove(p *place) {
	tx.tellAt(p, EventGeneric, "del")
	tx.clear(p)
}

// clear is remove for a key that another value takes the place of: no event is told.
func (tx *Tx) clear(p *place) {
	tx.note(p)
	tx.drop(p)
}

// removeDue is remove for a key that is due.
func (tx *Tx) removeDue(p *place) {
	tx.noteExpired(p)
	tx.tellAt(p, EventExpired, "expired")
	tx.drop(p)
}

// take is remove for a key whose object, if it has one, goes to another key.
func (tx *Tx) take(p *place) {
	tx.note(p)
	tx.unlink(p)
}

// drop is remove that nobody is told of.
func (tx *Tx) drop(p *place) {
	if p.enc() == encObject {
		tx.s.release(p.objs.at(p.handle()))
	}
	tx.unlink(p)
}

// unlink is take that nobody is told of.
func (tx *Tx) unlink(p *place) {
	tx.uncount(p)
	tx.unlinkDeadline(p, 0)
	tx.unlinkFields(p)
	p.db.mem.Add(-p.cost())
	p.db.keys.Add(-1)
	p.db.counts.add(p.slot, -1)
	shared := tx.shared(p)
	hasObject, h := p.enc() == encObject, handle(0)
	if hasObject {
		h = p.handle()
		p.objs.at(h).kept = nil
	}
	tx.dict(p).Del(p.pos)
	p.db.discard(p.ref, len(p.record), h, hasObject, shared, tx.s.epoch)
	p.item = item{}
}

// uncount takes the key at p, which is about to be removed, out of the sum of its slot. The last key of the slot takes its
// position.
func (tx *Tx) uncount(p *place) {
	k := hashBytes(p.key())
	sum := entrySum(k, p.sum(), p.deadline()) + placeSum(p.pos, k)
	if last := p.db.keysIn(p.slot) - 1; last != p.pos {
		moved := p.db.itemAt(p.slot, last)
		k = hashBytes(moved.key())
		sum += placeSum(last, k) - placeSum(p.pos, k)
	}
	tx.count(p, -sum)
}

// private makes the record at p, and its object, safe to change in place.
func (tx *Tx) private(p *place) {
	if p.enc() == encObject {
		tx.privateObject(p)
		return
	}
	if tx.shared(p) {
		tx.relayout(p, p.deadline())
	}
}

// privateObject is private for an object, which it returns.
func (tx *Tx) privateObject(p *place) object {
	hold := p.objs.at(p.handle())
	if !tx.shared(p) {
		hold.epoch = tx.s.epoch
		if hold.kept != nil && hold.kept.frozen && tx.s.views.Load() == 0 {
			hold.kept.thaw()
		}
		return hold.obj
	}
	old, oldRef, h := p.record, p.ref, p.handle()
	own := holder{obj: forked(hold.obj, tx.s.epoch), size: hold.size, sum: hold.sum, epoch: tx.s.epoch}
	own.kept, hold.kept = membersOf(own.obj), nil
	tx.unlinkDeadline(p, p.deadline())
	tx.unlinkFields(p)
	tx.move(p, len(old))
	copy(p.record, old)
	putHandle(p.value(), p.db.objects.put(own))
	p.objs = p.db.objects.dir.Load()
	p.db.discard(oldRef, len(old), h, true, true, tx.s.epoch)
	tx.linkDeadline(p)
	tx.linkFields(p)
	return own.obj
}

// modified says that the key at p was modified without a new value: its version becomes the index of the entry.
func (tx *Tx) modified(p *place) {
	tx.private(p)
	p.setVersion(tx.s.index)
}

// touched reports that the object of an existing key changed in place.
func (tx *Tx) touched(key []byte) {
	if p, ok := tx.findWrite(tx.DB, key); ok {
		tx.changed(&p)
	}
}

// changed is touched for the key at p: its version becomes the index of the entry. REQUIRES: it has an object.
func (tx *Tx) changed(p *place) {
	tx.note(p)
	tx.tellChange(p)
	tx.modified(p)
	hold := p.objs.at(p.handle())
	if m := membersOf(hold.obj); m != hold.kept {
		tx.s.release(hold)
		tx.keep(hold, p.slot)
	}
	if d := int64(hold.obj.size()) - hold.size; d != 0 {
		hold.size += d
		p.db.mem.Add(d)
	}
	if sum := objectSum(hold.obj); sum != hold.sum {
		k := hashBytes(p.key())
		tx.count(p, entrySum(k, sum, p.deadline())-entrySum(k, hold.sum, p.deadline()))
		hold.sum = sum
	}
	tx.linkFields(p)
}

// delete removes a key and reports whether it existed and was not due.
func (tx *Tx) delete(key []byte) bool {
	p, ok := tx.findWrite(tx.DB, key)
	if ok {
		tx.remove(&p)
	}
	return ok
}

// empty deletes a key of which the command has taken all elements.
func (tx *Tx) empty(key []byte) {
	if p, ok := tx.findWrite(tx.DB, key); ok {
		tx.tellChange(&p)
		tx.remove(&p)
	}
}

// setDeadline gives the key at p another deadline in Unix ms; 0 = none.
func (tx *Tx) setDeadline(p *place, at int64) {
	if was := p.deadline(); was != at {
		k, sum := hashBytes(p.key()), p.sum()
		tx.count(p, entrySum(k, sum, at)-entrySum(k, sum, was))
		tx.relayout(p, at)
		tx.note(p)
	}
}

// relayout writes the record at p anew with a deadline: in place, or where nobody else looks.
func (tx *Tx) relayout(p *place, at int64) {
	old, oldRef, shared := p.record, p.ref, tx.shared(p)
	was := old.head()
	head := makeHead(old.enc(), headKeyLen(was), headBody(was), at)
	size := headSize(head)
	tx.unlinkDeadline(p, at)
	tx.unlinkFields(p)
	version, use, body := old.version(), old.use(), old[headKeyAt(was):]
	if !shared && slab.Size(size) == slab.Size(len(old)) {
		p.record = p.db.arena.Bytes(p.ref, size)
		copy(p.record[headKeyAt(head):], body)
		p.fill(head, version, use, at, nil)
	} else {
		tx.move(p, size)
		p.fill(head, version, use, at, body)
		p.db.discard(oldRef, len(old), 0, false, shared, tx.s.epoch)
	}
	tx.linkDeadline(p)
	tx.linkFields(p)
}

// unlinkDeadline takes the key at p out of the order of expiry, in which it will stand with another deadline, 0 = none.
// It comes before any change of the record.
func (tx *Tx) unlinkDeadline(p *place, next int64) {
	at := p.deadline()
	tx.s.dueMoved = tx.s.dueMoved || at != next
	if at != 0 {
		p.db.due.Delete(deadline{at, p.ref})
		p.db.expires.Add(-1)
		p.db.expireSum.Add(-(at / 1000))
	}
}

// linkDeadline puts the key at p into the order of expiry, if its record has a deadline.
func (tx *Tx) linkDeadline(p *place) {
	if at := p.deadline(); at != 0 {
		tx.s.dueMoved = true
		p.db.due.Set(deadline{at, p.ref})
		p.db.expires.Add(1)
		p.db.expireSum.Add(at / 1000)
	}
}

// unlinkFields is unlinkDeadline for the earliest deadline of a field, by which the hash at p stands in an order of its own.
func (tx *Tx) unlinkFields(p *place) {
	if t := p.times(); t != nil && t.linked != 0 {
		p.db.fields.Delete(deadline{t.linked, p.ref})
		t.linked = 0
		p.db.timed.Add(-1)
		tx.s.dueMoved = true
	}
}

// linkFields puts the hash at p, if its fields have deadlines, to where it belongs in their order.
func (tx *Tx) linkFields(p *place) {
	t := p.times()
	if t == nil || t.first().at == t.linked {
		return
	}
	tx.unlinkFields(p)
	if t.linked = t.first().at; t.linked != 0 {
		p.db.fields.Set(deadline{t.linked, p.ref})
		p.db.timed.Add(1)
		tx.s.dueMoved = true
	}
}

// keep takes the members of an object, if it has any, into the store's memory. The object is the value of a key of slot.
func (tx *Tx) keep(hold *holder, slot int) {
	if hold.kept = membersOf(hold.obj); hold.kept != nil {
		tx.s.memory.adopt(hold.kept)
		hold.kept.slot = slot
	}
}

// writeObject is write for an object.
func (tx *Tx) writeObject(p *place, key []byte, hold holder, at int64) {
	tx.keep(&hold, p.slot)
	value := tx.write(p, key, layout{enc: encObject, n: handleBytes, text: hold.size, at: at, sum: hold.sum})
	putHandle(value, p.db.objects.put(hold))
	p.objs = p.db.objects.dir.Load()
	tx.linkFields(p)
}
