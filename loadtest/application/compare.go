package application

import (
	"bytes"
	"context"
	"fmt"
)

// aroundBytes is how much of a body is shown around the first difference.
const aroundBytes = 80

// compare asks for a sample through the sidecar and at the witness, and fails if answers
// differ.
func (g *game) compare(ctx context.Context) error {
	for _, request := range g.app.Sample() {
		if err := g.compareOne(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// compareOne asks twice through the sidecar, so that one answer is from its memory, and the
// witness before and after that: between its two answers may lie what the clock has changed.
// The witness' first answer of all does not count, as a visit may leave traces in the database.
func (g *game) compareOne(ctx context.Context, request Request) error {
	var answers [5][]byte
	for i, s := range []*side{g.witness, g.witness, g.sides[1], g.sides[1], g.witness} {
		body, err := s.clients[0].Send(ctx, request)
		if err != nil {
			return fmt.Errorf("ask side %s: %w", s.name, err)
		}
		answers[i] = g.app.Steady(body)
	}
	before, after := answers[1], answers[4]
	for _, got := range answers[2:4] {
		g.report.Compared++
		if !bytes.Equal(got, before) && !bytes.Equal(got, after) {
			return fmt.Errorf("%s %s differs through the sidecar:\n%s", request.Method, request.Path, difference(after, got))
		}
	}
	return nil
}

// difference shows where two bodies begin to differ.
func difference(own, got []byte) string {
	at := 0
	for at < min(len(own), len(got)) && own[at] == got[at] {
		at++
	}
	around := func(body []byte) []byte { return body[max(0, at-aroundBytes):min(len(body), at+aroundBytes)] }
	return fmt.Sprintf("at byte %d Postgres' is …%s… and the sidecar's …%s…", at, around(own), around(got))
}
