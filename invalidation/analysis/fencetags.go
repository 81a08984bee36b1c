package analysis

import "github.com/freshet/freshet/cache/fence"

// FenceTags are the tags of one execution's answer, those of what the statement means
// among them. ok is false as from AppendTags.
func (v *Verdict) FenceTags(p Params) (tags []fence.Tag, ok bool) {
	texts, ok := v.AppendTags(nil, p)
	if !ok {
		return nil, false
	}
	tags = make([]fence.Tag, 0, len(texts)+1+len(v.Relations))
	for _, text := range texts {
		tags = append(tags, fence.NewTag(text))
	}
	return append(tags, v.SchemaTags()...), true
}

// SchemaTags are the tags of what the statement means, whatever its values.
func (v *Verdict) SchemaTags() []fence.Tag {
	tags := []fence.Tag{fence.NewTag(fence.SchemaText)}
	for _, root := range v.Relations {
		tags = append(tags, fence.NewTag(fence.RelationSchemaText(root)))
	}
	return tags
}
