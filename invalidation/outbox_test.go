package invalidation

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
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

// TestEventsOfOneTransaction writes in many ways in one prepared transaction, where
// the least is logged: events without keys of their own would fail the writes.
func TestEventsOfOneTransaction(t *testing.T) {
	t.Parallel()
	_, db := startServer(t, map[string]string{"wal_level": "minimal", "max_wal_senders": "0", "max_prepared_transactions": "5"})
	db.run("CREATE UNLOGGED TABLE light (a int)")
	db.install("public.*")
	before := db.value("SELECT count(*) FROM freshet.outbox")
	db.run("BEGIN")
	db.run("UPDATE users SET name = 'once'", "UPDATE users SET name = 'twice'",
		"INSERT INTO users VALUES (1), (3) ON CONFLICT (id) DO UPDATE SET name = 'met'", // two events
		"SAVEPOINT s", "DELETE FROM orders", "ROLLBACK TO s", "DELETE FROM orders WHERE id = 10",
		"INSERT INTO light VALUES (1)", "UPDATE light SET a = 2", "UPDATE light SET a = 3",
		"TRUNCATE parted", "INSERT INTO parted VALUES (1)", "INSERT INTO parted VALUES (2)")
	source := pgx.CopyFromSlice(3, func(i int) ([]any, error) { return []any{i, "copied"}, nil })
	if _, err := db.CopyFrom(t.Context(), pgx.Identifier{"plain"}, []string{"a", "b"}, source); err != nil {
		t.Fatal(err)
	}
	db.run("INSERT INTO freshet.outbox (tags) SELECT '{x}' FROM generate_series(1, 3000)",
		"PREPARE TRANSACTION 'events'", "COMMIT PREPARED 'events'")
	const events = 2 + 2 + 1 + 3 + 4 + 2 + 1 + 3000 // TRUNCATE is four: of the root and each partition
	if got := db.value("SELECT count(*) - $1::text::int FROM freshet.outbox", before); got != fmt.Sprint(events) {
		t.Errorf("the transaction wrote %s events, want %d", got, events)
	}
}

// numberedOutbox makes the table what an earlier version made.
const numberedOutbox = `
ALTER TABLE freshet.outbox DROP COLUMN written, ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
CREATE INDEX outbox_xid ON freshet.outbox (xid)`

// outboxForm is what the table is made of.
const outboxForm = `SELECT concat_ws(E'\n',
	(SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)), E'\n' ORDER BY a.attname)
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = 'freshet.outbox'::regclass AND a.attnum > 0 AND NOT a.attisdropped),
	(SELECT string_agg(pg_get_indexdef(i.indexrelid) || i.indisprimary, E'\n') FROM pg_index i WHERE i.indrelid = 'freshet.outbox'::regclass))`

// TestOutboxWithASequenceIsConverted installs over an outbox as it was before,
// under a follower that goes on.
func TestOutboxWithASequenceIsConverted(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, salesSchema)
	db.install("public.*")
	db.run(numberedOutbox)
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
	if n := db.value("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'freshet' AND (c.relkind = 'S' AND c.relname <> 'given_up' OR c.relname = 'outbox_xid')"); n != "0" {
		t.Errorf("%s sequences and indexes of before are left", n)
	}
}

// TestConversionWaitsForWriters installs over an outbox as it was before while a
// transaction is writing: as for any table, it waits and is tried again. It makes
// no new table, and a look receives what was written before and meanwhile once.
func TestConversionWaitsForWriters(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	want := db.value(outboxForm)
	db.run(numberedOutbox, "UPDATE users SET name = 'before the look'")
	if state := db.state(); len(state.Problems()) != 1 || len(state.Tables()) != 0 {
		t.Fatalf("with an outbox of an earlier version, problems are %q", state.Problems())
	}
	file := db.value("SELECT pg_relation_filenode('freshet.outbox')")
	s := db.step()
	rowsBefore, seenBefore := db.value("SELECT count(*) FROM freshet.outbox"), s.Stats().Events
	texts := []string{"users/id=1", "orders/id=10", "orders/id=12", "parted/id=11"}
	var entries []*fence.Ticket
	for _, text := range texts {
		entries = append(entries, s.reads(text))
	}
	db.run("UPDATE users SET name = 'missed' WHERE id = 1",
		"BEGIN; DELETE FROM orders WHERE id = 10; DELETE FROM orders WHERE id = 11; DELETE FROM orders WHERE id = 12; COMMIT")
	writer := db.connect()
	runOn(t, writer, "BEGIN", "UPDATE parted SET k = 'x' WHERE id = 1", "UPDATE parted SET k = 'y' WHERE id = 11")
	installer := db.connect()
	installed := make(chan error, 1)
	go func() {
		_, err := Install(t.Context(), installer, Options{Watch: []string{"public.*"}, Wait: waitMax})
		installed <- err
	}()
	servers.Eventually(t, "the installer waits for the writer", func() bool {
		return db.value("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'freshet.outbox'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))") == "true"
	})
	runOn(t, writer, "UPDATE parted SET k = 'z' WHERE id = 11", "COMMIT")
	if err := <-installed; err != nil {
		t.Fatal(err)
	}
	if got := db.value(outboxForm); got != want {
		t.Errorf("the table is now\n%s\nwant\n%s", got, want)
	}
	if now := db.value("SELECT pg_relation_filenode('freshet.outbox')"); now != file {
		t.Error("the table was made anew: to older snapshots it is empty")
	}
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Errorf("after installing: %q", problems)
	}
	db.run("UPDATE users SET name = 'afterwards' WHERE id = 1")
	s.look()
	for i, entry := range entries {
		s.wantAdmitted(entry, false, "an entry of "+texts[i])
	}
	rows := db.value("SELECT count(*) - $1::text::int FROM freshet.outbox", rowsBefore)
	if got := fmt.Sprint(s.Stats().Events - seenBefore); got != rows || s.Stats().Resets[resetStart] != 1 || len(s.Stats().Resets) != 1 {
		t.Errorf("%s events were received of %s, with resets %v", got, rows, s.Stats().Resets)
	}
}

// TestRepairLocksNoOutboxThatIsRight repairs something else under a writer.
func TestRepairLocksNoOutboxThatIsRight(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	db.run("ALTER EVENT TRIGGER freshet_drop DISABLE")
	writer := db.connect()
	runOn(t, writer, "BEGIN", "UPDATE users SET name = 'x' WHERE id = 1")
	db.install("public.*")
	if problems := db.state().Problems(); len(problems) > 0 {
		t.Errorf("after the repair: %q", problems)
	}
	runOn(t, writer, "COMMIT")
}
