package wire

import (
	"bytes"
	"context"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/shapes"
)

const joinSchema = `CREATE TABLE person (id int PRIMARY KEY, name text); CREATE TABLE purchase (id int PRIMARY KEY, person_id int, note text);
	INSERT INTO person SELECT n, 'person ' || n FROM generate_series(1, 50) n;
	INSERT INTO purchase SELECT n, n, '' FROM generate_series(1, 50) n`

const joinSQL = "SELECT p.id, q.name FROM purchase p JOIN person q ON q.id = p.person_id WHERE p.id = $1"

// joinBed is a sidecar that looks up the rows that joinSQL joins, since it has loaded that shape
// often enough, and a client of it.
type joinBed struct {
	*testbed
	side *side
	conn *pgx.Conn
	t    *testing.T
}

// newJoinBed makes a joinBed, and loads joinSQL until the next load is looked up.
func newJoinBed(t *testing.T) *joinBed {
	b := newTestbed(t, joinSchema)
	j := &joinBed{testbed: b, side: b.sidecar(patient), t: t}
	j.conn = j.side.connect()
	// The first loads of a shape are not looked up.
	for id := 40; j.side.count(Miss) < shapes.LookupLoadsMin; id++ {
		if id > 50 {
			t.Fatal("the statement is not captured")
		}
		j.ask(id)
	}
	return j
}

// ask reads the name of the person who made a purchase.
func (j *joinBed) ask(id int) (name string) {
	j.t.Helper()
	if err := j.conn.QueryRow(context.Background(), joinSQL, id).Scan(new(int), &name); err != nil {
		j.t.Fatal(err)
	}
	return name
}

// want reads a purchase, once the sidecar has received what was committed, and requires the person's
// name and the outcome that the read counts as.
func (j *joinBed) want(id int, name string, how Outcome) {
	j.t.Helper()
	j.side.received()
	before := j.side.count(how)
	if got := j.ask(id); got != name {
		j.t.Errorf("purchase %d is of %q, want %q", id, got, name)
	}
	if j.side.count(how) != before+1 {
		j.t.Errorf("purchase %d: want a %s; counted so far: %v", id, how, j.side.Report().Queries)
	}
}

// A change of a row that the join leads to ends the answer. A change of another row of the joined
// table leaves it.
func TestRowsJoinedToAreLookedUp(t *testing.T) {
	t.Parallel()
	j := newJoinBed(t)
	j.want(3, "person 3", Miss)
	j.want(3, "person 3", HitL1)
	j.exec("UPDATE person SET name = 'other' WHERE id = 4")
	j.want(3, "person 3", HitL1)
	j.exec("UPDATE person SET name = 'third' WHERE id = 3")
	j.want(3, "third", Miss)
	j.want(3, "third", HitL1)
	j.exec("UPDATE purchase SET person_id = 5 WHERE id = 3")
	j.want(3, "person 5", Miss)
	j.exec("UPDATE person SET name = 'fifth' WHERE id = 5")
	j.want(3, "fifth", Miss)
	j.exec("UPDATE person SET name = 'nobody' WHERE id = 3")
	j.want(3, "fifth", HitL1)
	j.exec("TRUNCATE person; INSERT INTO person SELECT n, 'new ' || n FROM generate_series(1, 50) n")
	j.want(3, "new 5", Miss)
}

// A change of a row that a view or a subquery leads to ends the answer. A change of another row of
// the table leaves it.
func TestSubqueriesAndViewsAreLookedUp(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, joinSchema+`; CREATE VIEW bill AS SELECT id AS bill, person_id AS payer FROM purchase WHERE note <> 'void'`)
	s := b.sidecar(patient)
	conn := s.connect()
	for _, sql := range []string{
		"SELECT q.name FROM bill b JOIN person q ON q.id = b.payer WHERE b.bill = $1",
		"SELECT q.name FROM (SELECT * FROM purchase WHERE id = $1 ORDER BY id LIMIT 5) p JOIN person q ON q.id = p.person_id",
		"SELECT name FROM person WHERE id IN (SELECT payer FROM bill WHERE bill = $1)",
		"SELECT name FROM person WHERE id = (SELECT person_id FROM purchase WHERE id = $1)",
		"SELECT name FROM person q WHERE EXISTS (SELECT 1 FROM bill b WHERE b.payer = q.id AND b.bill = $1)",
	} {
		b.exec("UPDATE purchase SET person_id = id, note = ''; UPDATE person SET name = 'person ' || id")
		ask := func(id int, name string, how Outcome) {
			t.Helper()
			s.received()
			before := s.count(how)
			var got string
			if err := conn.QueryRow(t.Context(), sql, id).Scan(&got); err != nil || got != name {
				t.Errorf("%s of %d is %q, want %q; error %v", sql, id, got, name, err)
			}
			if s.count(how) != before+1 {
				t.Errorf("%s of %d: want a %s; counted so far: %v", sql, id, how, s.Report().Queries)
			}
		}
		for id := 40; id < 40+shapes.LookupLoadsMin+1; id++ { // the first loads of a shape are not looked up
			if _, err := conn.Exec(t.Context(), sql, id); err != nil {
				t.Fatal(err)
			}
		}
		ask(3, "person 3", Miss)
		b.exec("UPDATE person SET name = 'other' WHERE id = 4; UPDATE purchase SET person_id = 3 WHERE id = 4")
		ask(3, "person 3", HitL1)
		b.exec("UPDATE purchase SET person_id = 5 WHERE id = 3")
		ask(3, "person 5", Miss)
		b.exec("UPDATE person SET name = 'fifth' WHERE id = 5")
		ask(3, "fifth", Miss)
		b.exec("UPDATE person SET name = 'nobody' WHERE id = 3")
		ask(3, "fifth", HitL1)
	}
}

// A statement that is parsed in one group and executed in another survives the lookup in between,
// which ends Postgres' unnamed statement. A block that is held back survives the lookup, too.
func TestLookupDisturbsNothing(t *testing.T) {
	t.Parallel()
	j := newJoinBed(t)
	ctx := context.Background()
	description, err := j.conn.PgConn().Prepare(ctx, "", joinSQL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"11", "12", "11"} {
		result := j.conn.PgConn().ExecPrepared(ctx, "", [][]byte{[]byte(id)}, nil, nil).Read()
		if result.Err != nil || len(result.Rows) != 1 || string(result.Rows[0][1]) != "person "+id {
			t.Errorf("purchase %s: %q, error %v; want person %s", id, result.Rows, result.Err, id)
		}
	}
	if len(description.ParamOIDs) != 1 {
		t.Errorf("the statement is described with parameters %v, want one", description.ParamOIDs)
	}
	before := j.side.count(Miss)
	err = pgx.BeginFunc(ctx, j.conn, func(tx pgx.Tx) error {
		var name string
		if err := tx.QueryRow(ctx, joinSQL, 21).Scan(new(int), &name); err != nil || name != "person 21" {
			t.Errorf("in a block: %q, error %v; want person 21", name, err)
		}
		if status := j.conn.PgConn().TxStatus(); status != 'T' {
			t.Errorf("the client is told that its transaction is %c, want T", status)
		}
		return nil
	})
	if err != nil || j.side.count(Miss) != before+1 {
		t.Errorf("the block ends with error %v, want none and one miss; counted so far: %v", err, j.side.Report().Queries)
	}
	j.exec("UPDATE person SET name = 'other' WHERE id = 22")
	j.want(21, "person 21", HitL1)
}

// The lookups of a role that may not read the tables below its view fail. Without them the role's
// answers depend on the whole tables, so that a change of any row still ends them.
func TestChangeEndsAnswersOfARoleThatMayNotLookUp(t *testing.T) {
	t.Parallel()
	b := newRolesTestbed(t, joinSchema+`; CREATE VIEW bought AS SELECT p.id, q.name FROM purchase p JOIN person q ON q.id = p.person_id`)
	role := "viewer_" + b.database
	b.exec("CREATE ROLE " + role + " LOGIN; GRANT SELECT ON bought TO " + role)
	t.Cleanup(func() { b.exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
	s := b.sidecar()
	c := b.connect(s.dsn() + " user=" + role)
	ask := func(id int) (name string) {
		t.Helper()
		if err := c.QueryRow(context.Background(), "SELECT name FROM bought WHERE id = $1", id).Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for id := 40; s.count(Miss) < shapes.LookupLoadsMin; id++ { // the first loads of a shape are not looked up
		if id > 50 {
			t.Fatal("the statement is not captured")
		}
		ask(id)
	}
	before := s.Report()
	ask(30)
	after := s.Report()
	if loads, probes := after.Queries[Miss.String()]-before.Queries[Miss.String()], after.UpstreamProbes-before.UpstreamProbes; loads != 1 || probes == 0 {
		t.Errorf("%d loads and %d questions to Postgres, want a load and its lookup: this test shows nothing", loads, probes)
	}
	for _, change := range []struct {
		id   int
		want string
	}{{31, "person 30"}, {30, "changed"}} { // a lookup that was answered would have the change of row 31 end nothing
		s.received()
		servers.Eventually(t, "a hit", func() bool {
			hits := s.count(HitL1)
			ask(30)
			return s.count(HitL1) == hits+1
		})
		b.exec("UPDATE person SET name = 'changed' WHERE id = $1", change.id)
		s.received()
		hits := s.count(HitL1)
		if got := ask(30); got != change.want {
			t.Errorf("behind the change of row %d %q is read, want %s", change.id, got, change.want)
		}
		if s.count(HitL1) != hits {
			t.Errorf("behind the change of row %d there is a hit, want the answer ended: its tags are the whole tables", change.id)
		}
	}
}

// The tags of a lookup do not keep an answer valid that was loaded after a commit which the lookup
// has not seen. The test forces this:
//
//  1. the lookup reads that purchase 7 is of person 7;
//  2. the load waits for a lock, before its snapshot;
//  3. a commit gives purchase 7 to person 8;
//  4. the load reads person 8, and is stored with the tag of person 7;
//  5. a commit changes person 8: the stored answer must not be served any more.
func TestLookupThatACommitOvertookIsNotTrusted(t *testing.T) {
	t.Parallel()
	j := newJoinBed(t)
	ctx := context.Background()
	locker := j.connect(j.postgres.DSN(j.database))
	if _, err := locker.Exec(ctx, "BEGIN; LOCK TABLE person"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	go func() {
		var name string
		if err := j.conn.QueryRow(ctx, joinSQL, 7).Scan(new(int), &name); err != nil {
			name = err.Error()
		}
		answered <- name
	}()
	servers.Eventually(t, "the load to wait for the lock", func() bool {
		var n int
		err := j.direct.QueryRow(ctx, `SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND l.relation = 'person'::regclass AND a.datname = current_database()`).Scan(&n)
		return err == nil && n == 1
	})
	j.exec("UPDATE purchase SET person_id = 8 WHERE id = 7")
	if _, err := locker.Exec(ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got != "person 8" {
		t.Fatalf("the load answered %q, want person 8", got)
	}
	j.exec("UPDATE person SET name = 'eighth' WHERE id = 8")
	j.want(7, "eighth", Miss)
	j.want(7, "eighth", HitL1)
}

// A load is sent right behind its lookup, without waiting for the lookup's answer, and still gets
// the tags that the lookup finds.
func TestLookupGoesWithItsLoad(t *testing.T) {
	t.Parallel()
	j := newJoinBed(t)
	c := dialRaw(t, j.side.dsn())
	ask := join(msgParse("", joinSQL), msgBind("", "9"), msgExecute("", 0), msgSync)
	locker := j.connect(j.postgres.DSN(j.database))
	mustExec(t, locker, "BEGIN; LOCK TABLE purchase")
	before := j.side.Report()
	c.send(ask)
	c.reaches(j.testbed, "wait_event_type = 'Lock' AND query LIKE '%json_agg%'")
	servers.Eventually(t, "the load to be sent", func() bool {
		after := j.side.Report()
		return after.UpstreamProbes == before.UpstreamProbes+1 && after.UpstreamQueries == before.UpstreamQueries+1
	})
	mustExec(t, locker, "COMMIT")
	if got := c.until("Z"); !bytes.Contains(got, []byte("person 9")) {
		t.Errorf("the load is answered with\n%s\nwant person 9", show(got))
	}
	j.side.received()
	j.exec("UPDATE person SET name = 'changed' WHERE id = 8") // another row than the lookup found
	j.side.received()
	hits := j.side.count(HitL1)
	c.ask(ask)
	if j.side.count(HitL1) != hits+1 {
		t.Errorf("no hit behind a change of another row, want one; so far: %s", j.side.became())
	}
}

// A cancel request that meets the lookup ends the load, too, which the client has meant.
func TestCancelDuringALookupEndsItsLoad(t *testing.T) {
	t.Parallel()
	j := newJoinBed(t)
	query := func(id string) []byte {
		return msgQuery("SELECT p.id, q.name FROM purchase p JOIN person q ON q.id = p.person_id WHERE p.id = " + id)
	}
	c := dialRaw(t, j.side.dsn())
	for id := 10; id < 10+2*shapes.LookupLoadsMin; id++ { // the Query is another shape than joinSQL, and needs first loads of its own
		c.ask(query(strconv.Itoa(id)))
	}
	locker := j.connect(j.postgres.DSN(j.database))
	if _, err := locker.Exec(context.Background(), "BEGIN; LOCK TABLE purchase"); err != nil {
		t.Fatal(err)
	}
	c.send(query("9"))
	c.reaches(j.testbed, "wait_event_type = 'Lock' AND query LIKE '%json_agg%'")
	c.cancel(j.side.dsn())
	if got := c.until("Z"); !bytes.Contains(got, []byte("57014")) {
		t.Errorf("the cancelled load is answered with\n%s\nwant the error 57014", show(got))
	}
	if _, err := locker.Exec(context.Background(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if got := c.ask(query("9")); !bytes.Contains(got, []byte("person 9")) {
		t.Errorf("behind the cancel request the read gets\n%s\nwant person 9", show(got))
	}
}

// If a statement's joins keep leading to more rows than tags are made of, only a few of its loads
// are looked up.
func TestCrowdedLookupsBecomeRare(t *testing.T) {
	t.Parallel()
	b := newTestbed(t, `CREATE TABLE person (id int PRIMARY KEY, name text); CREATE TABLE basket (id int PRIMARY KEY);
		CREATE TABLE line (id int PRIMARY KEY, basket_id int REFERENCES basket, person_id int);
		INSERT INTO person SELECT n, 'person ' || n FROM generate_series(1, 300) n; INSERT INTO basket VALUES (1), (2);
		INSERT INTO line SELECT n, CASE WHEN n < 300 THEN 1 ELSE 2 END, n FROM generate_series(1, 300) n`)
	s := b.sidecar()
	conn := s.connect()
	load := func(basket int) (looked bool) {
		t.Helper()
		b.exec("UPDATE person SET name = name || '.'")
		s.received()
		before := s.Report()
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(q.name) FROM line l JOIN person q ON q.id = l.person_id WHERE l.basket_id = $1", basket).Scan(&n); err != nil || n == 0 {
			t.Fatalf("%d rows, error %v", n, err)
		}
		after := s.Report()
		return after.UpstreamProbes > before.UpstreamProbes
	}
	for s.count(Miss) < shapes.LookupLoadsMin-1 {
		load(1)
	}
	const loads = 40
	looked := 0
	for range loads {
		if load(1) {
			looked++
		}
	}
	if looked < shapes.LookupCrowdedMax || looked > loads/2 {
		t.Errorf("%d of %d loads were looked up, want %d at least and %d at most", looked, loads, shapes.LookupCrowdedMax, loads/2)
	}
}
