package dashboard

import (
	"net/http"
	"strings"
)

// TablesMax bounds the answer to GET /api/v1/tables.
const TablesMax = 10000

// TableList is the JSON form of GET /api/v1/tables: those whose names or columns hold ?q=.
type TableList struct {
	Tables []Table `json:"tables"`
	// Found counts all of them, also beyond TablesMax.
	Found int `json:"found"`
}

func (s *Server) tables(w http.ResponseWriter, r *http.Request) {
	wanted := strings.ToLower(r.URL.Query().Get("q"))
	list := TableList{Tables: []Table{}}
	for _, t := range s.options.TablesFunc() {
		if !strings.Contains(strings.ToLower(t.Name+" "+strings.Join(t.Columns, " ")), wanted) {
			continue
		}
		list.Found++
		if len(list.Tables) < TablesMax {
			if t.Columns == nil {
				t.Columns = []string{}
			}
			list.Tables = append(list.Tables, t)
		}
	}
	answerCompactJSON(w, list)
}
