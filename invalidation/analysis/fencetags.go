package analysis

import (
	"slices"

	"github.com/freshet/freshet/cache/fence"
)

// FenceTags are the tags of one execution's answer, those of what the statement means
// among them. ok is false as from AppendTags.
func (v *Verdict) FenceTags(p Params) (tags []fence.Tag, ok bool) {
	if !v.Cacheable || !v.fits(p) {
		return nil, false
	}
	tags = make([]fence.Tag, 0, 2*len(v.Tags)+1+len(v.Relations))
	for i := range v.Tags {
		tags = v.Tags[i].appendFenceTags(tags, p)
	}
	return v.appendSchemaTags(tags), true
}

// appendFenceTags appends the tags of the texts that append appends.
func (t *TagTemplate) appendFenceTags(tags []fence.Tag, p Params) []fence.Tag {
	if t.Column == "" {
		return appendNewTag(tags, fence.TableTag(t.Root))
	}
	before := len(tags)
	for _, s := range t.Values {
		texts, ok := s.texts(p)
		if !ok {
			return appendNewTag(tags[:before], fence.TableTag(t.Root))
		}
		for _, text := range texts {
			tags = appendNewTag(tags, fence.ValueTag(t.Root, t.Column, text))
		}
	}
	return appendNewTag(tags, fence.WholesaleTag(t.Root))
}

func appendNewTag(tags []fence.Tag, tag fence.Tag) []fence.Tag {
	if slices.Contains(tags, tag) {
		return tags
	}
	return append(tags, tag)
}

// SchemaTags are the tags of what the statement means, whatever its values.
func (v *Verdict) SchemaTags() []fence.Tag {
	return v.appendSchemaTags(make([]fence.Tag, 0, 1+len(v.Relations)))
}

func (v *Verdict) appendSchemaTags(tags []fence.Tag) []fence.Tag {
	tags = append(tags, fence.NewTag(fence.SchemaText))
	for _, root := range v.Relations {
		tags = append(tags, fence.RelationSchemaTag(root))
	}
	return tags
}
