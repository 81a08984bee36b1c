package answer

import (
	"testing"

	"github.com/freshet/freshet/sidecar/internal/description"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// idColumn is the body of a RowDescription of one integer, intParam that of a
// ParameterDescription.
var (
	idColumn = []byte("\x00\x01id\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00")
	intParam = []byte("\x00\x01\x00\x00\x00\x17")
)

// What an entry tells is what Postgres said when it was loaded.
func TestAnswersTell(t *testing.T) {
	t.Parallel()
	rows, params := protocol.AppendMessage(nil, 'T', idColumn), protocol.AppendMessage(nil, 't', intParam)
	said := description.New(description.OfRows('T', idColumn), intParam, true)
	ofStatement := (&Answer{Description: append(params, rows...)}).Tells()
	if ofStatement.Key() != said.Key() || ofStatement.Own {
		t.Errorf("the description of a statement tells %+v, want %+v", ofStatement, said)
	}
	ofPortal := &Answer{Description: rows}
	if tells := ofPortal.Tells(); tells.Key() == said.Key() || !tells.Agrees(said) || tells != ofPortal.Tells() {
		t.Errorf("the description of a portal tells %+v of %+v", tells, said)
	}
}
