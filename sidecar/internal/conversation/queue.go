package conversation

// expectations is a queue. The zero value is empty.
type expectations struct {
	items []Expectation
	first int
	// harmful is how many of them end what may change something.
	harmful int
}

// count adds n for an answer that ends what may change something.
func (q *expectations) count(e *Expectation, n int) {
	if e.endsUnit() && !e.Harmless {
		q.harmful += n
	}
}

func (q *expectations) len() int { return len(q.items) - q.first }

func (q *expectations) push(e Expectation) {
	if q.first > 64 && q.first > len(q.items)/2 {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	q.items = append(q.items, e)
	q.count(&e, 1)
}

// head returns the answer that is due, nil if none is.
func (q *expectations) head() *Expectation {
	if q.len() == 0 {
		return nil
	}
	return &q.items[q.first]
}

func (q *expectations) pop() {
	q.count(q.head(), -1)
	q.items[q.first] = Expectation{}
	q.first++
	for q.len() > 0 && q.items[q.first].Kind == CopyEnd {
		q.first++ // of data that Postgres did not ask for, or no longer
	}
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
}

// dropIgnored removes the Syncs between the head, which copies data in, and the
// end of the data. It reports whether one of them was not harmless, and whether
// the end was there.
func (q *expectations) dropIgnored() (harmful, ended bool) {
	following := q.items[q.first+1:]
	n := 0
	for n < len(following) && following[n].Kind == Sync {
		harmful = harmful || !following[n].Harmless
		q.count(&following[n], -1)
		n++
	}
	if ended = n < len(following) && following[n].Kind == CopyEnd; ended {
		n++
	}
	kept := copy(following, following[n:])
	clear(following[kept:])
	q.items = q.items[:q.first+1+kept]
	return harmful, ended
}
