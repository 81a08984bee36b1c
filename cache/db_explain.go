package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/freshet/freshet/invalidation/analysis"
)

// Explanation says what a statement's answers depend on, or why they are not kept.
type Explanation struct {
	// Reason is why answers are not kept, empty if they are; Detail is what it is about,
	// and Advice what to do.
	Reason, Detail, Advice string
	// Tables are the watched tables that the statement reads, schema.table.
	Tables []string
	// Tags are what its answers depend on, as a person reads them: public.orders/id=$1.
	Tags []string
}

// String says all of it in a few lines.
func (e Explanation) String() string {
	if e.Reason == "" {
		return fmt.Sprintf("kept; depends on %q of %q", e.Tags, e.Tables)
	}
	return fmt.Sprintf("not kept: %s %s\n%s", e.Reason, e.Detail, e.Advice)
}

var errNotReady = errors.New("explain: the database is not followed yet, or its connections are in a state in which nothing is kept; see Options.Logger")

// Explain says what becomes of the statement in a Query. It does not run it.
func (db *DB) Explain(ctx context.Context, sql string) (Explanation, error) {
	b := db.book.Load()
	if b == nil {
		return Explanation{}, fmt.Errorf("explain: %w", ErrClosed)
	}
	in := db.state(ctx, b)
	if in == nil {
		return Explanation{}, errNotReady
	}
	s := newShape(sql)
	select {
	case db.questions <- question{book: b, state: in, shape: s}:
	case <-ctx.Done():
		return Explanation{}, fmt.Errorf("explain: %w", ctx.Err())
	}
	select {
	case <-s.found:
	case <-db.closing.Done():
		return Explanation{}, fmt.Errorf("explain: %w", ErrClosed)
	case <-ctx.Done():
		return Explanation{}, fmt.Errorf("explain: %w", ctx.Err())
	}
	m := s.meaning.Load()
	if m == nil {
		return Explanation{}, errors.New("explain: the statement could not be analysed now, see Options.Logger")
	}
	return db.explanation(m), nil
}

func (db *DB) explanation(m *meaning) Explanation {
	e := Explanation{Reason: m.reason, Advice: analysis.Reason(m.reason).Advice()}
	if m.verdict == nil {
		return e
	}
	e.Detail, e.Tables = m.Detail, m.Tables
	for _, tag := range m.Tags {
		name := fmt.Sprint(tag.Root)
		if t, ok := db.follower.State().Table(tag.Root); ok {
			name = t.Schema + "." + t.Name
		}
		e.Tags = append(e.Tags, name+strings.TrimPrefix(tag.String(), fmt.Sprint(tag.Root)))
	}
	return e
}
