package wire

import (
	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// boundValues reads the parameters of a Bind message, given what follows its
// two names: format codes, values, result format codes.
func boundValues(b []byte) ([]analysis.Value, bool) {
	var r room
	return r.boundValues(b)
}

// room is where the values and the tags of a unit's wants are gathered. The next unit uses
// it again.
type room struct {
	bound  protocol.Bound
	values []analysis.Value
	tags   []fence.Tag
}

// empty makes all of it free: nobody has what lies there any more.
func (r *room) empty() { r.values, r.tags = r.values[:0], r.tags[:0] }

// boundValues is boundValues with the values in the room.
func (r *room) boundValues(b []byte) (values []analysis.Value, ok bool) {
	if !r.bound.Read(b) {
		return nil, false
	}
	from := len(r.values)
	for i, data := range r.bound.Values {
		r.values = append(r.values, analysis.Value{Data: data, Null: data == nil, Binary: r.bound.Binary(i)})
	}
	return r.values[from:len(r.values):len(r.values)], true
}

// fenceTags is v.FenceTags with the tags in the room.
func (r *room) fenceTags(v *analysis.Verdict, p analysis.Params) (tags []fence.Tag, ok bool) {
	// Tags that are there already would not be appended: those of another want stay apart.
	if len(r.tags) > 0 {
		return v.FenceTags(p)
	}
	r.tags, ok = v.AppendFenceTags(r.tags, p)
	return r.tags, ok
}
