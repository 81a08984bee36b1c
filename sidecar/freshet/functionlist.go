package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet/invalidation/analysis"
	"github.com/freshet/freshet/invalidation/settings"
)

// functionList holds what the operator says about functions of the database:
// shop.slug(text)=pure, shop.total(int)=shop.orders+shop.items,
// auth.uid()=setting:request.jwt.claims. As text they are separated by commas outside of
// parentheses.
type functionList []analysis.Function

// UnmarshalText adds the functions in text, so that a flag may be repeated.
func (l *functionList) UnmarshalText(text []byte) error {
	rest := string(text)
	for rest != "" {
		var item string
		item, rest = cutPattern(rest)
		at := strings.LastIndex(item, ")")
		signature := strings.TrimSpace(item[:at+1])
		tables, found := strings.CutPrefix(strings.TrimSpace(item[at+1:]), "=")
		if signature == "" || !found {
			return fmt.Errorf("%q is no function: write schema.name(types)=pure, or schema.name(types)=schema.table+setting:app.tenant for the tables and the settings that it reads", strings.TrimSpace(item))
		}
		f := analysis.Function{Signature: signature}
		if tables = strings.TrimSpace(tables); tables != "pure" {
			for table := range strings.SplitSeq(tables, "+") {
				table = strings.TrimSpace(table)
				if setting, ok := strings.CutPrefix(table, "setting:"); ok {
					if _, free := settings.Local(strings.ToLower(setting)); !free {
						return fmt.Errorf("function %s reads the setting %q: only those of the application's own can be declared, such as app.tenant", signature, setting)
					}
					f.Settings = append(f.Settings, setting)
					continue
				}
				if !strings.Contains(table, ".") {
					return fmt.Errorf("function %s reads %q: write tables with their schema, such as shop.orders", signature, table)
				}
				f.Tables = append(f.Tables, table)
			}
		}
		*l = append(*l, f)
	}
	return nil
}

// texts are the functions as UnmarshalText reads them.
func (l functionList) texts() []string {
	texts := make([]string, len(l))
	for i, f := range l {
		texts[i] = f.Signature + "=pure"
		reads := slices.Clone(f.Tables)
		for _, setting := range f.Settings {
			reads = append(reads, "setting:"+setting)
		}
		if len(reads) > 0 {
			texts[i] = f.Signature + "=" + strings.Join(reads, "+")
		}
	}
	return texts
}
