package analysis

import (
	"slices"

	"github.com/freshet/freshet/cache/fence"
)

// FenceTags are the tags of one execution's answer, those of what the statement means
// among them. ok is false as from AppendTags.
func (v *Verdict) FenceTags(p Params) (tags []fence.Tag, ok bool) {
	return v.AppendFenceTags(make([]fence.Tag, 0, 2*len(v.Tags)+3+len(v.Relations)), p)
}

// AppendFenceTags appends what FenceTags returns. For a table that is read by single values
// nothing is allocated but what dst lacks.
func (v *Verdict) AppendFenceTags(dst []fence.Tag, p Params) (tags []fence.Tag, ok bool) {
	if !v.Cacheable || !v.fits(p) {
		return dst, false
	}
	for i := range v.Tags {
		dst = v.Tags[i].appendFenceTags(dst, p)
	}
	return v.appendSchemaTags(dst), true
}

// appendFenceTags appends the tags of the texts that append appends.
func (t *TagTemplate) appendFenceTags(tags []fence.Tag, p Params) []fence.Tag {
	if t.Column == "" {
		return appendNewTag(tags, fence.TableTag(t.Root))
	}
	before := len(tags)
	for i := range t.Values {
		var ok bool
		if tags, ok = t.appendValueTags(tags, &t.Values[i], p); !ok {
			return appendNewTag(tags[:before], fence.TableTag(t.Root))
		}
	}
	return appendNewTag(tags, fence.WholesaleTag(t.Root))
}

// appendValueTags appends the tags of a source's values. ok is false as from texts.
func (t *TagTemplate) appendValueTags(tags []fence.Tag, s *ValueSource, p Params) (all []fence.Tag, ok bool) {
	if s.Origin == Parameter {
		v := p.Bound[s.Index]
		if v.Null {
			return tags, true
		}
		var room [canonicalMax]byte
		if text, ok := appendCanonical(room[:0], s.Type, v); ok {
			return appendNewTag(tags, fence.ValueTag(t.Root, t.Column, text)), true
		}
	}
	texts, ok := s.texts(p)
	if !ok {
		return tags, false
	}
	for _, text := range texts {
		tags = appendNewTag(tags, fence.ValueTag(t.Root, t.Column, text))
	}
	return tags, true
}

func appendNewTag(tags []fence.Tag, tag fence.Tag) []fence.Tag {
	if slices.Contains(tags, tag) {
		return tags
	}
	return append(tags, tag)
}

// SchemaTags are the tags of what the statement means, whatever its values.
func (v *Verdict) SchemaTags() []fence.Tag {
	return v.appendSchemaTags(make([]fence.Tag, 0, 3+len(v.Relations)))
}

var schemaTag = fence.NewTag(fence.SchemaText)

func (v *Verdict) appendSchemaTags(tags []fence.Tag) []fence.Tag {
	tags = v.appendRoleTags(append(tags, schemaTag))
	for _, root := range v.Relations {
		tags = append(tags, fence.RelationSchemaTag(root))
	}
	return tags
}

// appendRoleTags appends the tags of the roles that the answer depends on. What a statement
// may read of tables, as its own role and without row security, depends on this role and on
// what it is a member of.
func (v *Verdict) appendRoleTags(tags []fence.Tag) []fence.Tag {
	if v.role != 0 {
		tags = append(tags, fence.RoleTag(v.role))
	}
	if v.role == 0 || v.otherRoles {
		tags = append(tags, fence.RolesTag)
	}
	return tags
}

// otherRoles reports whether the answer may depend on other roles than the reader's: a view's
// tables are read as its owner, policies are of roles, and a declared function may run as
// another.
func (s *statement) otherRoles() bool {
	others := s.declares || len(s.secured)+len(s.policies) > 0
	walk(s.query, func(n *node) bool {
		others = others || n.optional("checkAsUser") != nil && n.oid("checkAsUser") != 0
		return !others
	})
	return others
}
