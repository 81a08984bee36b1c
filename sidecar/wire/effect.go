package wire

import (
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/block"
	"github.com/freshet/freshet/sidecar/internal/shapes"
	"github.com/freshet/freshet/sidecar/internal/statements"
)

// rowsEffect is that of what writes rows, of whatever tables, and defines nothing. A
// function that a trigger, a default or a statement calls could; that is noticed as if
// it had been done elsewhere.
var rowsEffect = &shapes.Effect{AnyRows: true}

// writesNothing begins the statements that change settings, names and the course of
// a transaction, and no rows. Who has deferred triggers run by SET CONSTRAINTS or
// COMMIT has written before what set them off, which is gathered until then.
var writesNothing = map[string]bool{
	"SET": true, "RESET": true, "SHOW": true, "LISTEN": true, "UNLISTEN": true, "DEALLOCATE": true, "DISCARD": true,
}

// effectOfText tells what a text may write, whatever the session's state.
func effectOfText(sql string) *shapes.Effect {
	if writesNothing[analysis.FirstKeyword(sql)] && surelyOne(sql) || controls(sql) {
		return shapes.NoEffect
	}
	if (analysis.WritesRows(sql) || analysis.ReadsPlainly(sql)) && surelyOne(sql) {
		return rowsEffect
	}
	return nil
}

// controls reports whether a text is a control statement. What set_config means is not seen
// in a text.
func controls(sql string) bool {
	c := block.ParseControl(sql)
	return c.Kind != block.None && len(c.Columns) == 0
}

// effectOfBound tells what the execution of a statement may write. It has to be the
// one that Postgres knows under its name: accepted, or parsed in the same group.
//
//  1. A name stands for an INSERT.
//  2. A group fails before the Parse that would give the name to a SET.
//  3. A Bind of the name is sent before that is known, and runs the INSERT.
func (u *understanding) effectOfBound(p, parsed *statements.Prepared) *shapes.Effect {
	if p == nil || p.Statement == nil || p != parsed && !p.Accepted.Load() || u.talk.NamesDoubtful() {
		return nil
	}
	return effectOfText(p.Statement.SQL)
}
