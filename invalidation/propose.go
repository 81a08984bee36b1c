package invalidation

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Propose returns what would be watched after Install with these patterns, with the
// columns that it would choose: for who wants to know beforehand what that would bring.
// Nothing has to be installed, and conn's role needs no right. Types of columns are not told.
func Propose(ctx context.Context, conn *pgx.Conn, watch []string) (*State, error) {
	patterns, err := parsePatterns(watch)
	if err != nil {
		return nil, err
	}
	all, err := readCandidates(ctx, conn)
	if err != nil {
		return nil, err
	}
	s := &State{byOID: map[uint32]Table{}, byName: map[string]Table{}}
	oids := map[relationName]uint32{}
	for _, r := range all {
		oids[r.name()] = r.OID
		if r.Kind == "m" {
			s.add(Table{OID: r.OID, Root: r.OID, Schema: r.Schema, Name: r.Name})
		}
	}
	for _, t := range newPlan(patterns, all, nil, &catalog{}, false).trees {
		for _, m := range t.members {
			s.add(Table{OID: oids[m], Root: oids[t.root], Schema: m.Schema, Name: m.Name, Columns: t.columns})
		}
	}
	return s, nil
}
