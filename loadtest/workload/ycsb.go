package workload

import (
	"fmt"
	"strings"
)

// The table of YCSB: ten fields of a hundred characters.
var usertable = func() string {
	var columns, values strings.Builder
	for field := range 10 {
		fmt.Fprintf(&columns, ", field%d text NOT NULL", field)
		fmt.Fprintf(&values, ", rpad(md5((i * 10 + %d)::text), 100, 'x')", field)
	}
	return `
	CREATE TABLE usertable (id bigint PRIMARY KEY, version bigint NOT NULL` + columns.String() + `);
	INSERT INTO usertable SELECT i, 1` + values.String() + ` FROM generate_series(0, {rows}::bigint - 1) i;`
}()

var (
	readUser   = step{&Statement{Name: "read", SQL: `SELECT * FROM usertable WHERE id = $1`, Shows: Rows, Single: true}, oneRow, theRow}
	updateUser = &Statement{Name: "update", SQL: `UPDATE usertable SET version = $2::bigint, field0 = rpad(md5($2::bigint::text), 100, 'x') WHERE id = $1`}
	insertUser = &Statement{Name: "insert", SQL: func() string {
		values := strings.Repeat(`, rpad(md5($1::bigint::text), 100, 'x')`, 10)
		return `INSERT INTO usertable VALUES ($1::bigint, $2::bigint` + values + `)`
	}()}
)

var ycsbB = &Workload{
	Name: "ycsb-b", About: "YCSB B: 95 % reads, 5 % updates, zipf 0.99", schema: usertable, write: updateUser, DefaultSpan: 1, DefaultWrites: 0.05,
	page: []step{readUser},
}

var ycsbC = &Workload{
	Name: "ycsb-c", About: "YCSB C: reads alone, zipf 0.99", schema: usertable, write: updateUser, DefaultSpan: 1,
	page: []step{readUser},
}

var ycsbD = &Workload{
	Name: "ycsb-d", About: "YCSB D: 95 % reads of the latest rows, 5 % new rows", schema: usertable, write: updateUser, insert: insertUser,
	Room: 2_000_000, DefaultSpan: 1, DefaultWrites: 0.05, DefaultKeys: "latest",
	page: []step{readUser},
}
