package fence

// Ended reports whether an event that was received has ended the entry of a ticket for good,
// and which of its tags it moved, 0 if all that was known has been thrown away since. It is
// for counting: what is only foretold ends nothing here, and other than Admits it says
// nothing about what is in use.
func (f *Fence) Ended(t *Ticket) (moved Tag, ended bool) {
	generation := f.generation.Load()
	if t.generation.Load() == generation && f.unmoved(t) {
		return 0, false
	}
	head, floor := f.head.Load(), f.floor.Load()
	if head == nil || floor == nil {
		return 0, false
	}
	if t.label.Incarnation != head.Incarnation || !t.label.Lower.Includes(*floor) {
		return 0, f.generation.Load() == generation
	}
	for _, tag := range t.tags {
		if f.lacked(tag, &t.label.Lower) {
			return tag, f.generation.Load() == generation
		}
	}
	return 0, false
}

// unmoved reports whether no slot of a ticket has had an event since it was found good.
func (f *Fence) unmoved(t *Ticket) bool {
	for i, tag := range t.tags {
		if f.cells[uint64(tag)&f.mask].counter.Load() != t.counters[i].Load() {
			return false
		}
	}
	return true
}

// lacked reports whether an event of a tag was received that a label does not see, as far as
// its slot remembers.
func (f *Fence) lacked(tag Tag, label *Snapshot) bool {
	s := &f.slots[uint64(tag)&f.mask]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.floor != nil && !label.Includes(*s.floor) {
		return true
	}
	for _, e := range s.recent {
		if e.tag == tag && !label.Sees(e.xid) {
			return true
		}
	}
	return false
}

// Moves returns a number that is another one after each event of a ticket's tags, and of tags
// that share their slots.
func (f *Fence) Moves(t *Ticket) uint64 {
	sum := f.generation.Load()
	for _, tag := range t.tags {
		sum += f.cells[uint64(tag)&f.mask].counter.Load()
	}
	return sum
}
