package invalidation

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// fewSlots make a small fence: each reset changes all of its slots, which is what a follower's
// start costs under the race detector. That tags share them has one looked at twice.
var fewSlots = fence.Options{Slots: 1 << 12}

// followed is a database with a running follower.
type followed struct {
	*database
	*Follower
	fence *fence.Fence
	stop  func()
}

// logWriter sends a follower's log to the test's.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// follow starts a follower and waits for its first look. change, unless nil,
// alters its options.
func (db *database) follow(change func(*FollowerOptions)) *followed {
	db.t.Helper()
	f := db.followWithoutWaiting(change)
	servers.Eventually(db.t, "the first look", func() bool { return f.Confirm(db.t.Context(), fence.Now()) == nil })
	return f
}

func (db *database) followWithoutWaiting(change func(*FollowerOptions)) *followed {
	db.t.Helper()
	config, err := pgx.ParseConfig(db.dsn)
	if err != nil {
		db.t.Fatal(err)
	}
	config.User = servers.Follower
	f := &followed{database: db, fence: fence.New(fewSlots)}
	o := FollowerOptions{ConnConfig: config, Fence: f.fence, Logger: slog.New(slog.NewTextHandler(logWriter{db.t}, nil))}
	if change != nil {
		change(&o)
	}
	if f.Follower, err = NewFollower(o); err != nil {
		db.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			db.t.Errorf("run the follower: %v", err)
		}
	})
	db.t.Cleanup(f.stop)
	return f
}

// confirmNow waits until the head includes everything that was done before.
func (f *followed) confirmNow() {
	f.t.Helper()
	at := fence.Now()
	servers.Eventually(f.t, "a look is confirmed", func() bool { return f.Confirm(f.t.Context(), at) == nil })
	if f.fence.LookBegan() < at {
		f.t.Fatal("confirmed by a look that began earlier")
	}
}

// load makes a ticket of an entry that is loaded now and depends on texts. While all
// that is known is replaced, there is no head.
func (f *followed) load(texts ...string) *fence.Ticket {
	f.t.Helper()
	var head *fence.Head
	servers.Eventually(f.t, "there is a head", func() bool { head = f.fence.Head(); return head != nil })
	var tags []fence.Tag
	for _, text := range texts {
		tags = append(tags, fence.NewTag(text))
	}
	return fence.NewTicket(fence.LabelAt(head), tags, fence.Now())
}

func (f *followed) wantAdmitted(t *fence.Ticket, want bool, what string) {
	f.t.Helper()
	if got := f.fence.Admits(t); got != want {
		f.t.Errorf("%s: admitted %v, want %v; stats %+v", what, got, want, f.Stats())
	}
}

func TestFollowerReceivesWrites(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	f.confirmNow()
	one := f.load(db.spell("users/id=1", "users/*")...)
	two := f.load(db.spell("users/id=2", "users/*")...)
	whole := f.load(db.spell("users")...)
	f.wantAdmitted(one, true, "before the write")
	db.run("UPDATE users SET name = 'new' WHERE id = 1")
	f.confirmNow()
	f.wantAdmitted(one, false, "the written row")
	f.wantAdmitted(two, true, "another row")
	f.wantAdmitted(whole, false, "the whole table")
	again := f.load(db.spell("users/id=1", "users/*")...)
	f.wantAdmitted(again, true, "loaded after the write")
	db.run("TRUNCATE users CASCADE")
	f.confirmNow()
	f.wantAdmitted(two, false, "a row of a truncated table")
	if s := f.Stats(); s.Events == 0 || s.Looks == 0 || s.Resets[resetStart] != 1 || s.Position == 0 {
		t.Errorf("stats %+v", s)
	}
}

// A transaction that began long ago has a lower id and a lower row in the outbox
// than those that committed before it.
func TestLateCommitOfAnEarlyTransaction(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	early := db.connect()
	runOn(t, early, "BEGIN", "UPDATE users SET name = 'early' WHERE id = 1")
	for i := range 20 {
		db.run(fmt.Sprintf("UPDATE users SET name = 'late %d' WHERE id = 2", i))
	}
	f.confirmNow()
	one := f.load(db.spell("users/id=1", "users/*")...)
	two := f.load(db.spell("users/id=2", "users/*")...)
	db.run("INSERT INTO plain VALUES (1)")
	f.confirmNow()
	f.wantAdmitted(one, true, "before the early transaction committed")
	runOn(t, early, "COMMIT")
	f.confirmNow()
	f.wantAdmitted(one, false, "after the early transaction committed")
	f.wantAdmitted(two, true, "what had committed before the load")
}

// Every row of the outbox is one event, none is lost and none comes twice, in
// whatever order the transactions end.
func TestNoEventIsLostUnderLoad(t *testing.T) {
	t.Parallel()
	const writersMax, roundsMax = 6, 60
	db := newDatabase(t, shop, "INSERT INTO plain SELECT g FROM generate_series(1, 50) g")
	db.install("public.*")
	f := db.follow(nil)
	f.confirmNow()
	seenBefore := f.Stats().Events
	rowsBefore := db.value("SELECT max(written) FROM freshet.outbox")
	var looking atomic.Bool
	looking.Store(true)
	var watchers, writers sync.WaitGroup
	watchers.Go(func() {
		for looking.Load() {
			if err := f.Confirm(t.Context(), fence.Now()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range writersMax {
		conn := db.connect()
		random := rand.New(rand.NewPCG(7, uint64(w)))
		writers.Go(func() { writeAtRandom(t, conn, random, w, roundsMax) })
	}
	writers.Wait()
	looking.Store(false)
	watchers.Wait()
	f.confirmNow()
	want := db.value("SELECT count(*) FROM freshet.outbox WHERE written > $1::text::pg_lsn", rowsBefore)
	if got := fmt.Sprint(f.Stats().Events - seenBefore); got != want || want == "0" {
		t.Errorf("%s events were received, the outbox has %s", got, want)
	}
	if resets := f.Stats().Resets; len(resets) != 1 || resets[resetStart] != 1 {
		t.Errorf("resets %v, want that of the start alone", resets)
	}
}

func writeAtRandom(t *testing.T, conn *pgx.Conn, random *rand.Rand, writer, rounds int) {
	id := 1000 + writer
	runOn(t, conn, fmt.Sprintf("INSERT INTO users VALUES (%d)", id))
	for range rounds {
		statements := []string{"BEGIN"}
		if random.IntN(4) == 0 {
			statements = append(statements, "SET LOCAL synchronous_commit = off")
		}
		for range 1 + random.IntN(3) {
			statements = append(statements, fmt.Sprintf("UPDATE users SET name = 'x' WHERE id = %d", id))
			if random.IntN(3) == 0 {
				statements = append(statements, "SAVEPOINT s", fmt.Sprintf("UPDATE users SET name = 'y' WHERE id = %d", id), "ROLLBACK TO s")
			}
			if random.IntN(5) == 0 {
				statements = append(statements, fmt.Sprintf("SELECT pg_sleep(%f)", random.Float64()/50))
			}
		}
		end := "COMMIT"
		if random.IntN(6) == 0 {
			end = "ROLLBACK"
		}
		runOn(t, conn, append(statements, end)...)
	}
}

func TestWarmStart(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	first := db.follow(nil)
	first.confirmNow()
	kept := first.load(db.spell("users/id=2", "users/*")...)
	gone := first.load(db.spell("users/id=1", "users/*")...)
	first.stop()
	db.run("UPDATE users SET name = 'meanwhile' WHERE id = 1")
	second := db.follow(nil)
	second.wantAdmitted(kept, true, "what nobody changed meanwhile")
	second.wantAdmitted(gone, false, "what was changed while nobody followed")
	if err := first.Confirm(t.Context(), fence.Now()); err == nil {
		t.Error("a follower that ended confirms")
	}
}

func TestCase40TerminatedConnections(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	f.confirmNow()
	kept := f.load(db.spell("users/id=2", "users/*")...)
	for range 3 {
		servers.Eventually(t, "three connections are open", func() bool {
			return db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'freshet follower' AND datname = current_database()") == "3"
		})
		gone := f.load(db.spell("users/id=1", "users/*")...)
		f.wantAdmitted(gone, true, "before the gap")
		db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'freshet follower' AND datname = current_database()",
			"UPDATE users SET name = 'meanwhile' WHERE id = 1")
		f.confirmNow()
		f.wantAdmitted(gone, false, "what was changed during the gap")
	}
	f.wantAdmitted(kept, true, "what nobody changed during the gap")
	if s := f.Stats(); s.Reconnects == 0 || s.LastError == "" {
		t.Errorf("stats %+v do not tell of the reconnections", s)
	}
}

func TestHostileDefaults(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	name := db.value("SELECT current_database()")
	for _, setting := range []string{"default_transaction_isolation = serializable", "default_transaction_deferrable = on", "default_transaction_read_only = on", "search_path = nowhere", "enable_indexscan = off", "DateStyle = 'SQL'", "TimeZone = 'Asia/Tokyo'", "extra_float_digits = -10"} {
		db.run("ALTER DATABASE " + name + " SET " + setting)
	}
	f := db.follow(nil)
	gone := f.load(db.spell("users/id=1", "users/*")...)
	db.run("UPDATE users SET name = 'x' WHERE id = 1")
	f.confirmNow()
	f.wantAdmitted(gone, false, "the written row")
	if n := db.value("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'freshet follower' AND a.datname = current_database() AND l.mode = 'SIReadLock'"); n != "0" {
		t.Errorf("the follower holds %s predicate locks", n)
	}
	var there string
	if err := db.connect().QueryRow(t.Context(), "SELECT freshet.incarnation()").Scan(&there); err != nil || there != string(f.fence.Head().Incarnation) {
		t.Errorf("a client's connection sees incarnation %q (%v), the follower %q", there, err, f.fence.Head().Incarnation)
	}
}

func TestNewTablesAreWatched(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	f := db.followWithoutWaiting(watching("public.*"))
	servers.Eventually(t, "the follower has installed and looked", func() bool { return f.Confirm(t.Context(), fence.Now()) == nil })
	db.run("CREATE TABLE later (id int PRIMARY KEY) PARTITION BY RANGE (id)")
	servers.Eventually(t, "the new table is watched", func() bool { _, ok := f.State().ByName("public.later"); return ok })
	db.run("CREATE TABLE later_one PARTITION OF later FOR VALUES FROM (0) TO (9)")
	servers.Eventually(t, "its partition is watched", func() bool { _, ok := f.State().ByName("public.later_one"); return ok })
	db.run("ALTER TABLE later RENAME id TO number")
	servers.Eventually(t, "its renamed column is watched", func() bool {
		table, _ := f.State().ByName("public.later")
		return len(table.Columns) == 1 && table.Columns[0] == "number"
	})
}

// TestNewDatabaseIsInstalledWithoutComplaint starts a follower where nothing is
// installed yet: its look waits for its keeper.
func TestNewDatabaseIsInstalledWithoutComplaint(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "CREATE TABLE users (id int PRIMARY KEY)")
	var log bytes.Buffer
	f := db.follow(func(o *FollowerOptions) {
		watching("public.*")(o)
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	servers.Eventually(t, "the table to be watched", func() bool { return len(f.State().Tables()) == 1 })
	f.stop()
	if strings.Contains(log.String(), "level=WARN") {
		t.Errorf("a new database causes warnings:\n%s", &log)
	}
}

// failTracer calls failed when a statement of a connection has failed, once. It is a
// pgx.QueryTracer.
type failTracer struct{ failed func() }

func (f *failTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (f *failTracer) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if data.Err != nil && f.failed != nil {
		f.failed()
		f.failed = nil
	}
}

// A greeting finds nothing installed, and the keeper has installed before that is known here: the
// session goes on.
func TestInstalledBesideTheGreeting(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	config := parse(t, db.dsn)
	asked := &failTracer{}
	config.Tracer = asked
	f, err := NewFollower(FollowerOptions{ConnConfig: config, Fence: fence.New(fewSlots), Watch: []string{"public.*"}})
	if err != nil {
		t.Fatal(err)
	}
	installed := false
	asked.failed = func() {
		db.install("public.*")
		close(f.attempted)
		installed = true
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- (&looker{f: f}).session(ctx) }()
	servers.Eventually(t, "it looks", func() bool {
		if len(ended) > 0 {
			t.Fatalf("the session has ended: %v", <-ended)
		}
		return f.Confirm(t.Context(), fence.Now()) == nil
	})
	cancel()
	if <-ended; !installed {
		t.Error("the greeting found something: nothing is tested")
	}
}

// Two processes with different patterns for one table must come to rest.
func TestDifferentPatternsAgree(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, shop)
	a := db.follow(watching("public.users(name)"))
	b := db.follow(watching("public.users(id, email)"))
	servers.Eventually(t, "both watch all three columns", func() bool {
		at, _ := a.State().ByName("public.users")
		bt, _ := b.State().ByName("public.users")
		return len(at.Columns) == 3 && len(bt.Columns) == 3
	})
	db.run("COMMENT ON TABLE users IS 'looked at again'")
	a.confirmNow()
	// Followers record events of their own, as of a reload: what they would change are triggers.
	const triggers = "SELECT string_agg(t.oid || ':' || t.xmin || ':' || p.xmin, ' ' ORDER BY t.oid) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = 'users'::regclass"
	rest := db.value(triggers)
	for range 20 {
		a.confirmNow()
		b.confirmNow()
	}
	if now := db.value(triggers); now != rest || rest == "NULL" {
		t.Errorf("the followers go on changing triggers: %s, then %s", rest, now)
	}
}

// When the head includes a DDL command, the state has been verified after it.
func TestStateIsVerifiedBeforeTheHeadIsPublished(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	var f atomic.Pointer[followed]
	var mu sync.Mutex
	var seen []string
	record := func() {
		self := f.Load()
		if self == nil || self.fence.Head() == nil {
			return
		}
		_, watched := self.State().ByName("public.users")
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprint(watched, " ", self.fence.Head().Snapshot))
	}
	self := db.follow(func(o *FollowerOptions) { o.OnSchema = record })
	f.Store(self)
	self.confirmNow()
	mu.Lock()
	seen = nil // of before the command
	mu.Unlock()
	before := self.fence.Head().Snapshot
	db.run("DROP TRIGGER zz_freshet_delete ON users")
	self.confirmNow()
	if _, ok := self.State().ByName("public.users"); ok {
		t.Error("confirmed, and the table still counts as watched")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) == 0 || !strings.HasPrefix(seen[0], "false ") || strings.HasSuffix(seen[0], self.fence.Head().Snapshot.String()) {
		t.Errorf("callback saw %q, want the new state with a head like %s", seen, before)
	}
	// The next look's head includes the snapshot at which the state was verified.
	self.confirmNow()
	if !self.fence.Head().Snapshot.Includes(self.State().Since()) {
		t.Error("no load can be labelled with a head that includes the state")
	}
}

// Who switches an event trigger off is not reported by it.
func TestUnreportedChangesAreFound(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(func(o *FollowerOptions) { o.Verify = 50 * time.Millisecond })
	f.confirmNow()
	old := f.load(db.spell("users/id=1", "users/*")...)
	db.run("ALTER EVENT TRIGGER freshet_ddl_end DISABLE")
	// The next look knows.
	f.confirmNow()
	if f.State().Reported() {
		t.Error("a look does not tell that an event trigger is off")
	}
	f.wantAdmitted(old, false, "an entry from before")
	if len(f.State().Problems()) == 0 || f.Stats().Resets[resetRoles] == 0 {
		t.Errorf("problems %v, resets %v", f.State().Problems(), f.Stats().Resets)
	}
}

func TestUninstallUnderAFollower(t *testing.T) {
	t.Parallel()
	db := newWatched(t, shop)
	f := db.follow(nil)
	if err := Uninstall(t.Context(), db.Conn); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "nothing can be confirmed", func() bool { return f.Confirm(t.Context(), fence.Now()) != nil })
	servers.Eventually(t, "it says what to do", func() bool { return strings.Contains(f.Stats().LastError, "freshet install") })
	db.install("public.*")
	f.confirmNow()
	if s := f.Stats(); s.Resets[resetStart] != 2 {
		t.Errorf("resets %v, want a second start", s.Resets)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig("host=/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	f := fence.New(fewSlots)
	const required, negative, retention = "ConnConfig and Fence are required", "must not be negative", "Retention 1s must be at least 5 times Poll and Proof"
	for _, c := range []struct {
		options FollowerOptions
		want    string
	}{
		{FollowerOptions{}, required}, {FollowerOptions{ConnConfig: config}, required}, {FollowerOptions{Fence: f}, required},
		{FollowerOptions{ConnConfig: config, Fence: f, Poll: -1}, negative},
		{FollowerOptions{ConnConfig: config, Fence: f, Retention: -1}, negative},
		{FollowerOptions{ConnConfig: config, Fence: f, Verify: -1}, negative},
		{FollowerOptions{ConnConfig: config, Fence: f, Definitions: -1}, negative},
		{FollowerOptions{ConnConfig: config, Fence: f, RestAfter: -1}, negative},
		{FollowerOptions{ConnConfig: config, Fence: f, Proof: -1}, negative},
		{FollowerOptions{ConnConfig: config, Fence: f, Poll: time.Second / 4, Retention: time.Second}, retention},
		{FollowerOptions{ConnConfig: config, Fence: f, Proof: time.Second / 4, Retention: time.Second}, retention},
		{FollowerOptions{ConnConfig: config, Fence: f, Watch: []string{"x"}}, `"x"`},
	} {
		if _, err := NewFollower(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.options, err, c.want)
		}
	}
	follower, err := NewFollower(FollowerOptions{ConnConfig: config, Fence: f})
	if err != nil {
		t.Fatal(err)
	}
	if err := follower.Confirm(t.Context(), fence.Now()); err == nil {
		t.Error("a follower that does not run confirms")
	}
	if s := follower.State(); s == nil || len(s.Tables()) != 0 {
		t.Errorf("state %v before the first look", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- follower.Run(ctx) }()
	servers.Eventually(t, "it has failed to connect", func() bool { return follower.Stats().Reconnects > 0 })
	if err := follower.Confirm(t.Context(), fence.Now()); err == nil {
		t.Error("a follower without a server confirms")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
