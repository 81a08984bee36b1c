package fence

// What this process has acknowledged as written is known before any event of it
// is received. Who writes tells the fence before the writer is told, and who must
// not be shown less than that asks Marked: a look that began at or after the
// moment it returns has received the event. That makes a write on one connection
// visible to a read on the next.
//
//  1. A commit changes a row; Postgres acknowledges it.
//  2. The acknowledgement is passed on, and the mark set only then.
//  3. The writer tells a reader, who finds no mark and is served the old row.
//
// So the mark comes before the acknowledgement. Its moment is read after Postgres'
// acknowledgement arrived, or this could happen:
//
//  1. the moment is read;
//  2. a look begins, and its snapshot lacks the commit;
//  3. the commit is acknowledged, and the mark set at the moment of 1;
//  4. the look completes: it began after the mark, and does not know the commit.
//
// A look that began before the mark and completes after it proves nothing. A
// reader who asked before the mark was set and is served after it began before the
// write was acknowledged: it may be shown either state. Forced by
// TestMarkedWriteIsShown, TestLookFromBeforeTheMark and TestFlightFromBeforeTheMark.

// Mark notes that writes to tags were acknowledged by moment at.
func (f *Fence) Mark(at Instant, tags []Tag) {
	raise(&f.markedLast, at)
	for _, tag := range tags {
		raise(&f.cells[uint64(tag)&f.mask].marked, at)
	}
}

// MarkClasses notes that writes to tags of classes were acknowledged by moment at, and
// that it is not known to which.
func (f *Fence) MarkClasses(at Instant, classes []Class) {
	raise(&f.markedLast, at)
	for _, class := range classes {
		raise(&f.classes[class], at)
	}
}

// MarkAll notes that by moment at something was acknowledged that may have
// written whatever there is.
func (f *Fence) MarkAll(at Instant) {
	raise(&f.markedLast, at)
	raise(&f.marked, at)
}

// MarkedAfter reports whether a write of anything was acknowledged after a moment: only then
// can Marked be later than that, of whatever ticket.
func (f *Fence) MarkedAfter(at Instant) bool { return Instant(f.markedLast.Load()) > at }

// Marked returns the moment at or after which a look must have begun to include
// every write acknowledged until now that the entry of ticket t may depend on.
// Without a ticket it answers for writes of anything.
func (f *Fence) Marked(t *Ticket) Instant {
	latest := f.marked.Load()
	if t != nil {
		for _, tag := range t.tags {
			latest = max(latest, f.cells[uint64(tag)&f.mask].marked.Load(), f.classes[tag.Class()].Load())
		}
	}
	return Instant(latest)
}
