package invalidation

import (
	"fmt"
	"testing"
)

const salesSchema = "CREATE TABLE sales (id serial PRIMARY KEY, amount int); INSERT INTO sales (amount) VALUES (0)"

// TestLastvalStaysTheClients writes to watched tables in every way and asks what
// the session's last sequence gave: a number of the application's own.
func TestLastvalStaysTheClients(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, salesSchema)
	db.install("public.*")
	for _, write := range []string{
		"INSERT INTO sales (amount) VALUES (1)",
		"INSERT INTO sales (amount) SELECT g FROM generate_series(1, 1000) g",
		"INSERT INTO sales (amount) VALUES (2) ON CONFLICT DO NOTHING",
		"INSERT INTO sales (amount) VALUES (3); UPDATE sales SET amount = 4; DELETE FROM sales WHERE amount = 0",
		"INSERT INTO sales (amount) VALUES (5); TRUNCATE sales",
		"INSERT INTO sales (amount) VALUES (6); CREATE TABLE another (id int)",
	} {
		db.run(write)
		if last, own := db.value("SELECT lastval()"), db.value("SELECT last_value FROM sales_id_seq"); last != own {
			t.Errorf("%s: lastval() is %s, the application's sequence gave %s", write, last, own)
		}
	}
}

// TestOutboxTakesManyRowsOfOneTransaction writes rows whose transaction is the
// same: their key differs in the position of the log.
func TestOutboxTakesManyRowsOfOneTransaction(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, salesSchema)
	db.install("public.*")
	db.run(`DO $$ BEGIN
		FOR i IN 1..500 LOOP
			INSERT INTO sales (amount) VALUES (i);
			BEGIN
				UPDATE sales SET amount = amount + 1 WHERE id = i;
			EXCEPTION WHEN division_by_zero THEN
			END;
		END LOOP;
	END $$`, "INSERT INTO freshet.outbox (tags) SELECT '{x}' FROM generate_series(1, 5000)")
	if n := db.value("SELECT max(n) FROM (SELECT count(*) AS n FROM freshet.outbox GROUP BY xid) x"); n != "5000" {
		t.Errorf("at most %s rows of one transaction, want 5000", n)
	}
}

// TestOutboxWithASequenceIsConverted installs over an outbox as it was before,
// under a follower that goes on.
func TestOutboxWithASequenceIsConverted(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, salesSchema)
	db.install("public.*")
	db.run(`ALTER TABLE freshet.outbox DROP COLUMN written`,
		`ALTER TABLE freshet.outbox ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY`,
		`CREATE INDEX outbox_xid ON freshet.outbox (xid)`)
	f := db.follow(nil)
	f.confirmNow()
	row := f.load(db.spell("sales/id=1")...)
	f.wantAdmitted(row, true, "before the write")
	db.run("BEGIN; UPDATE sales SET amount = 1 WHERE id = 1; UPDATE sales SET amount = 2 WHERE id = 1; COMMIT")
	const written = "SELECT string_agg(tags::text, ' ' ORDER BY %s) FROM freshet.outbox WHERE xid = (SELECT max(xid) FROM freshet.outbox WHERE xid < $1::text::xid8)"
	next := db.value("SELECT pg_snapshot_xmax(pg_current_snapshot())")
	before := db.value(fmt.Sprintf(written, "id"), next)
	db.install("public.*")
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Errorf("problems after the conversion: %q", problems)
	}
	if after := db.value(fmt.Sprintf(written, "written"), next); after != before {
		t.Errorf("the rows of the write are %q, and were %q", after, before)
	}
	f.confirmNow()
	f.wantAdmitted(row, false, "after a write in front of the conversion")
	again := f.load(db.spell("sales/id=1")...)
	db.run("UPDATE sales SET amount = 3 WHERE id = 1")
	f.confirmNow()
	f.wantAdmitted(again, false, "after a write behind it")
	if n := db.value("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'freshet' AND (c.relkind = 'S' OR c.relname = 'outbox_xid')"); n != "0" {
		t.Errorf("%s sequences and indexes of before are left", n)
	}
}
