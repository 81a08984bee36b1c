// Package workload says what clients ask for: tables, statements, and in which mix. Every row
// that clients write has a number, from 0, and a version, so that what they read can be
// judged.
//
// A Workload is immutable and may be shared; a Client belongs to one goroutine.
package workload

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/freshet/freshet/loadtest/keys"
)

// Role is the role of the clients. It may read and write the tables, and owns nothing.
const Role = "app"

// Shows says how an answer tells versions.
type Shows uint8

const (
	// Nothing: no row that clients write is in the answer.
	Nothing Shows = iota
	// Rows: each row begins with its number and its version, and all rows that were asked
	// for are in the answer.
	Rows
	// Sum: the first column of the only row is the sum of the versions.
	Sum
)

// Statement is a statement with bigint parameters.
type Statement struct {
	Name  string
	SQL   string
	Shows Shows
	// Single is set where the row that is read is named by the only argument: what a writer
	// of the row knows to be outdated by it.
	Single bool
}

// ArgumentsMax is how many parameters a statement may have.
const ArgumentsMax = 3

// Operation is one statement of a client.
type Operation struct {
	Statement *Statement
	Arguments [ArgumentsMax]int64
	Count     int // of arguments
	// First and Last are the rows whose versions are read; Last is less than First where
	// there are none.
	First, Last int64
	// Writes is set where row First is written, with a version for the second argument;
	// Inserts where a row is added, and First is not yet known.
	Writes, Inserts bool
	// Outdated are the reads that whoever writes the row knows to be outdated: of the row
	// itself. They are what a cache beside the database is told to forget.
	Outdated []Operation
}

// Mix is what of a workload can be chosen.
type Mix struct {
	// Rows is how many rows there are, or rows that clients write, at least Span.
	Rows int64 `json:"rows"`
	// Span is how many rows a range or an aggregate is of.
	Span int64 `json:"span"`
	// Keys says which rows are asked for, or written.
	Keys keys.Distribution `json:"-"`
	// Writes is the share of operations that write, from 0 to 1.
	Writes float64 `json:"writes"`
}

// Workload is tables and what is done with them.
type Workload struct {
	Name, About string
	// Room is how many rows clients may add.
	Room int64
	// DefaultSpan and DefaultWrites are those of who chooses none. DefaultKeys is empty for
	// zipf.
	DefaultSpan   int64
	DefaultWrites float64
	DefaultKeys   string
	// schema creates and fills the tables; the only parameters are {rows} and {span}.
	schema string
	// page are the statements of one visit, in their order.
	page []step
	// write is the statement of writes: its arguments are row and version.
	write *Statement
	// insert adds rows in place of writes; nil for none.
	insert *Statement
}

// step is a read and how its arguments follow from a key.
type step struct {
	statement *Statement
	arguments func(key int64, m Mix, unique int64) (arguments [ArgumentsMax]int64, count int)
	shows     func(key int64, m Mix, rows int64) (first, last int64)
}

// Setup is the SQL that creates the tables and the role, to be run by a superuser.
func (w *Workload) Setup(m Mix) string {
	return strings.NewReplacer("{rows}", fmt.Sprint(m.Rows), "{span}", fmt.Sprint(max(1, m.Span))).Replace(w.schema) + RoleSetup
}

// RoleSetup is the SQL that creates the role, and lets it read and write all tables there are.
const RoleSetup = `
	DO $$ BEGIN
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '` + Role + `') THEN CREATE ROLE ` + Role + ` LOGIN; END IF;
	END $$;
	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ` + Role + `;`

// Statements are the reads, for whoever wants to see or to prepare them.
func (w *Workload) Statements() []*Statement {
	var all []*Statement
	for _, s := range w.page {
		all = append(all, s.statement)
	}
	return all
}

// Client makes the operations of one client.
type Client struct {
	workload *Workload
	mix      Mix
	chooser  keys.Chooser
	random   *rand.Rand
	// key is whose page is visited, next the step that comes.
	key  int64
	next int
	// unique is a number that no other operation has.
	unique, clients int64
}

// Client returns one of several clients under a seed.
func (w *Workload) Client(m Mix, seed uint64, number, clients int) *Client {
	return &Client{
		workload: w, mix: m, chooser: m.Keys.Chooser(m.Rows, number, clients),
		random: rand.New(rand.NewPCG(seed, uint64(number))), unique: int64(number), clients: int64(clients),
	}
}

// Random is the client's own source of randomness.
func (c *Client) Random() *rand.Rand { return c.random }

// Next returns the next operation. rows is how many rows there are, writes the share of
// writes at the moment.
func (c *Client) Next(rows int64, writes float64) Operation {
	if c.next == 0 {
		c.key = c.chooser.Next(c.random, rows)
	}
	if writes > 0 && c.random.Float64() < writes {
		return c.Write(c.chooser.Next(c.random, rows))
	}
	return c.Read(rows)
}

// Write returns a write of a row, or the addition of one.
func (c *Client) Write(row int64) Operation {
	if c.workload.insert != nil {
		return Operation{Statement: c.workload.insert, Count: 2, Inserts: true}
	}
	return Operation{Statement: c.workload.write, Arguments: [ArgumentsMax]int64{row}, Count: 2,
		First: row, Last: row, Writes: true, Outdated: c.workload.outdated(row)}
}

// Read returns the next read.
func (c *Client) Read(rows int64) Operation {
	s := c.workload.page[c.next]
	c.next = (c.next + 1) % len(c.workload.page)
	c.unique += c.clients
	return s.of(c.key, c.mix, rows, c.unique)
}

// ReadOf returns the read of one step about a key.
func (w *Workload) ReadOf(number int, key int64, m Mix, rows, unique int64) Operation {
	return w.page[number].of(key, m, rows, unique)
}

// Steps is how many reads a visit consists of.
func (w *Workload) Steps() int { return len(w.page) }

func (s step) of(key int64, m Mix, rows, unique int64) Operation {
	o := Operation{Statement: s.statement, Last: -1}
	o.Arguments, o.Count = s.arguments(key, m, unique)
	if s.statement.Shows != Nothing {
		o.First, o.Last = s.shows(key, m, rows)
	}
	return o
}

// outdated are the reads of a row itself.
func (w *Workload) outdated(row int64) []Operation {
	var all []Operation
	for _, s := range w.page {
		if s.statement.Single {
			all = append(all, Operation{Statement: s.statement, Arguments: [ArgumentsMax]int64{row}, Count: 1})
		}
	}
	return all
}
