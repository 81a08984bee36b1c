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
	return v.appendSchemaTags(tags), true
}

// SchemaTags are the tags of what the statement means, whatever its values.
func (v *Verdict) SchemaTags() []fence.Tag {
	return v.appendSchemaTags(make([]fence.Tag, 0, 1+len(v.Relations)))
}

func (v *Verdict) appendSchemaTags(tags []fence.Tag) []fence.Tag {
	tags = append(tags, fence.NewTag(fence.SchemaText))
	for _, root := range v.Relations {
		tags = append(tags, fence.NewTag(fence.RelationSchemaText(root)))
	}
	return tags
}
