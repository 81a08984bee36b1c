package run

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/dashboard"
)

// Mark shows on the live page that something happened now. Without a page it does
// nothing.
func (s *Sidecar) Mark(text string) {
	if s.admin != nil {
		s.admin.Mark("mark", text)
	}
}

// explain says whether a statement of a new session would be cached.
func (s *stack) explain(ctx context.Context, wanted dashboard.ExplainRequest) (e dashboard.Explanation, err error) {
	conn, err := s.options.followed().connect(ctx)
	if err != nil {
		return e, err
	}
	request, err := analysis.NewRequest(ctx, conn, wanted.SQL, wanted.Role)
	endConnection(ctx, conn)
	if err != nil {
		return e, fmt.Errorf("%w: %w", dashboard.ErrWrongRequest, err)
	}
	verdict, err := s.analyzer.Analyze(ctx, request)
	if err != nil {
		return e, fmt.Errorf("analyse the statement: %w", err)
	}
	return Explanation(verdict, s.follower.State(), wanted.Parameters), nil
}

// Explanation says in words what is known of a statement, with the values of parameters in its tags
// as far as they are given. The lists in it are never nil.
func Explanation(verdict *analysis.Verdict, state *invalidation.State, parameters []string) dashboard.Explanation {
	e := dashboard.Explanation{
		Cacheable: verdict.Cacheable, Reason: string(verdict.Reason), Detail: verdict.Detail, Said: verdict.Said,
		Tables: append([]string{}, verdict.Tables...), Tags: []string{}, Wishes: []string{},
	}
	if !verdict.Cacheable {
		e.Advice = verdict.Reason.Advice()
	}
	for _, t := range verdict.Tags {
		e.Tags = append(e.Tags, spellTag(t.With(parameters), state))
	}
	for _, wish := range verdict.Wishes {
		e.Wishes = append(e.Wishes, fmt.Sprintf("%s(%s)", wish.Table, wish.Column))
	}
	return e
}

// spellTag names the table in place of its OID.
func spellTag(t analysis.TagTemplate, state *invalidation.State) string {
	text := t.String()
	if table, ok := state.Table(t.Root); ok {
		return table.Schema + "." + table.Name + strings.TrimPrefix(text, strconv.FormatUint(uint64(t.Root), 10))
	}
	return text
}

// purgeWhat ends answers in every sidecar, and waits until this one has done so.
func (s *stack) purgeWhat(ctx context.Context, wanted dashboard.PurgeRequest) (purged dashboard.Purged, err error) {
	if wanted.All {
		return dashboard.Purged{Tables: []string{}, All: true}, s.purgeAll(ctx)
	}
	if wanted.Shape != "" {
		names, roots := s.server.ShapeTables(wanted.Shape)
		if len(roots) == 0 {
			return purged, fmt.Errorf("%w: no statement that is cached here has the shape %s", dashboard.ErrWrongRequest, wanted.Shape)
		}
		return dashboard.Purged{Tables: names}, s.purgeTables(ctx, roots)
	}
	err = s.purge(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		kind := "matches " + wanted.Table
		if wanted.Role != "" {
			purged.Tables, err = invalidation.PurgeRole(ctx, conn, wanted.Role)
			kind = "may be read by role " + wanted.Role
		} else {
			purged.Tables, err = invalidation.Purge(ctx, conn, []string{wanted.Table})
		}
		if err == nil && len(purged.Tables) == 0 {
			return fmt.Errorf("%w: no watched table %s", dashboard.ErrWrongRequest, kind)
		}
		return err
	})
	return purged, err
}
