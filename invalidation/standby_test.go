package invalidation

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/loadtest/servers"
)

// mirrored is a followed database with one real standby.
type mirrored struct {
	*followed
	primary, server *servers.Postgres
	standby         *Standby
	// read is a session on the standby.
	read *pgx.Conn
	name string
}

func newMirrored(t *testing.T, settings map[string]string) *mirrored {
	t.Helper()
	m := &mirrored{primary: servers.StartPostgres(t, servers.PostgresOptions{Settings: settings})}
	m.name = m.primary.CreateDatabase(t)
	db := openDatabase(t, m.primary.DSN(m.name), shop)
	db.install("public.*")
	m.followed = db.follow(nil)
	m.server = servers.StartStandby(t, m.primary, servers.PostgresOptions{Settings: settings})
	m.standby = m.vouch(m.server)
	m.read = m.open(m.server)
	m.awaitVouched()
	return m
}

// vouch runs a Standby for a server.
func (m *mirrored) vouch(server *servers.Postgres) *Standby {
	m.t.Helper()
	config, err := pgx.ParseConfig(server.FollowerDSN(m.name))
	if err != nil {
		m.t.Fatal(err)
	}
	s, err := NewStandby(StandbyOptions{ConnConfig: config, Follower: m.Follower})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	m.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			m.t.Errorf("run the standby: %v", err)
		}
	})
	return s
}

func (m *mirrored) open(server *servers.Postgres) *pgx.Conn {
	m.t.Helper()
	conn, err := pgx.Connect(m.t.Context(), server.DSN(m.name))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (m *mirrored) awaitVouched() {
	m.t.Helper()
	servers.Eventually(m.t, "the standby is vouched for", func() bool {
		_, ok := m.standby.Begin()
		return ok
	})
}

// loaded is what a load of user 1's name on the standby brought.
type loaded struct {
	name      string
	ticket    *fence.Ticket
	label     fence.Label
	began     fence.Instant
	confirmed error
}

func (m *mirrored) loadName() loaded {
	m.t.Helper()
	l := loaded{began: fence.Now()}
	var ok bool
	if l.label, ok = m.standby.Begin(); !ok {
		m.t.Fatal("the standby is not vouched for")
	}
	if err := m.read.QueryRow(m.t.Context(), "SELECT name FROM users WHERE id = 1").Scan(&l.name); err != nil {
		m.t.Fatal(err)
	}
	ended := fence.Now()
	l.confirmed = m.standby.Confirm(m.t.Context(), l.label, l.began, ended)
	var tags []fence.Tag
	for _, text := range m.spell("users/id=1", "users/*") {
		tags = append(tags, fence.NewTag(text))
	}
	l.ticket = fence.NewTicket(l.label, tags, ended)
	return l
}

// With the replay paused a load shows the past, and says so; other rows go on
// being served.
func TestReplicaBehindCostsSpeedOnly(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	l := m.loadName()
	if l.name != "A" || l.confirmed != nil || !l.label.Replica {
		t.Fatalf("%+v", l)
	}
	m.wantAdmitted(l.ticket, true, "a load of the present")
	if err := m.server.PauseReplay(); err != nil {
		t.Fatal(err)
	}
	m.run("UPDATE users SET name = 'new' WHERE id = 1")
	m.confirmNow()
	m.wantAdmitted(l.ticket, false, "a load that the write overtook")
	for range 20 {
		l = m.loadName()
		if l.name != "A" || l.confirmed != nil {
			t.Fatalf("%+v", l)
		}
		m.wantAdmitted(l.ticket, false, "a load that lacks the write")
	}
	other := fence.NewTicket(l.label, []fence.Tag{fence.NewTag(m.spell("users/id=2")[0])}, fence.Now())
	m.wantAdmitted(other, true, "a load of what was not written")
	if err := m.server.ResumeReplay(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the standby has caught up", func() bool {
		l = m.loadName()
		if l.confirmed != nil {
			t.Fatal(l.confirmed)
		}
		admitted := m.fence.Admits(l.ticket)
		if admitted && l.name != "new" {
			t.Fatalf("an old name is admitted: %+v", l)
		}
		return admitted
	})
}

// While a writer writes, what is admitted is never older than the head. The writer goes on until
// some loads of what it wrote were admitted.
func TestReplicaUnderWriters(t *testing.T) {
	t.Parallel()
	const writes, admittedMin = 400, 10
	m := newMirrored(t, nil)
	writer := m.connect()
	ended := make(chan error, 1)
	var enough atomic.Bool
	began := time.Now()
	go func() {
		for i := 0; i < writes || !enough.Load() && time.Since(began) < waitMax; i++ {
			if _, err := writer.Exec(context.Background(), "UPDATE users SET name = lpad($1::int::text, 6, '0') WHERE id = 1", i); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	admitted, loads := 0, 0
	for done := false; !done; loads++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
		m.confirmNow()
		var known string
		if err := m.QueryRow(t.Context(), "SELECT name FROM users WHERE id = 1").Scan(&known); err != nil {
			t.Fatal(err)
		}
		l := m.loadName()
		if l.confirmed != nil {
			t.Fatal(l.confirmed)
		}
		m.confirmNow() // the head includes what known shows
		if known != "A" && m.fence.Admits(l.ticket) {
			if l.name < known {
				t.Fatalf("%q is admitted at a head that includes %q", l.name, known)
			}
			admitted++
			enough.Store(admitted >= admittedMin)
		}
	}
	if admitted < admittedMin {
		t.Errorf("%d of %d loads were admitted, want %d at least", admitted, loads, admittedMin)
	}
	servers.Eventually(t, "a load is admitted after the writers", func() bool { return m.fence.Admits(m.loadName().ticket) })
}

// A commit that waits for a synchronous standby is visible on another standby
// before the primary shows it. Only the flag tells.
func TestReplicaAheadIsForBoundedReaders(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, map[string]string{"synchronous_standby_names": "absent", "synchronous_commit": "local"})
	writer := m.connect()
	runOn(t, writer, "SET synchronous_commit = on")
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, err := writer.Exec(ctx, "UPDATE users SET name = 'ahead' WHERE id = 1")
		ended <- err
	}()
	defer func() { cancel(); <-ended }()
	var l loaded
	servers.Eventually(t, "the standby shows the commit", func() bool { l = m.loadName(); return l.name == "ahead" })
	if got := m.value("SELECT name FROM users WHERE id = 1"); got != "A" {
		t.Fatalf("the primary shows %q", got)
	}
	m.confirmNow()
	if !(*fence.Session)(nil).Accepts(l.ticket) || (&fence.Session{}).Accepts(l.ticket) {
		t.Error("what the standby shows ahead of the primary is for bounded readers, and for nobody else")
	}
	label := l.label
	label.Upper = m.fence.Head().Snapshot
	if m.fence.Settled(label) {
		t.Error("it is called settled")
	}
}

// A load that spans a promotion shows another database.
func TestPromotedStandbyIsNotVouchedFor(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	began := fence.Now()
	label, ok := m.standby.Begin()
	if !ok {
		t.Fatal("no label")
	}
	if err := m.server.Promote(); err != nil {
		t.Fatal(err)
	}
	runOn(t, m.read, "UPDATE users SET name = 'of the new timeline' WHERE id = 1")
	if err := m.standby.Confirm(t.Context(), label, began, fence.Now()); err == nil {
		t.Error("a load on a promoted server was confirmed")
	}
	if _, ok := m.standby.Begin(); ok {
		t.Error("a promoted server is vouched for")
	}
}

// After a crash the primary is another incarnation. A standby that has not
// replayed its beginning is not of it, whatever its position.
func TestStandbyOfAnotherIncarnationIsRefused(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	label, ok := m.standby.Begin()
	if !ok {
		t.Fatal("the standby is not vouched for: nothing is tested")
	}
	began := fence.Now()
	if err := m.server.PauseReplay(); err != nil {
		t.Fatal(err)
	}
	m.primary.Kill()
	if err := m.primary.Start(); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "a new incarnation", func() bool {
		head := m.fence.Head()
		return head != nil && head.Incarnation != label.Incarnation
	})
	if _, ok := m.standby.Begin(); ok {
		t.Error("a standby of the incarnation before is vouched for")
	}
	if m.standby.Confirm(t.Context(), label, began, fence.Now()) == nil {
		t.Error("a load of the incarnation before was confirmed")
	}
	if err := m.server.ResumeReplay(); err != nil {
		t.Fatal(err)
	}
	m.awaitVouched()
}

// A primary that was promoted has standbys of the server before beside it.
func TestStandbyOfTheOldTimelineIsRefused(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	if err := m.server.Promote(); err != nil {
		t.Fatal(err)
	}
	// The follower goes over to the promoted server; the standby is fed by the old one.
	db := openDatabase(t, m.server.DSN(m.name))
	f := db.follow(nil)
	old := servers.StartStandby(t, m.primary, servers.PostgresOptions{})
	moved := &mirrored{followed: f, name: m.name}
	moved.standby = moved.vouch(old)
	// The old server's log grows beyond every position of the new one.
	m.run("CREATE TABLE filler AS SELECT repeat('x', 100) FROM generate_series(1, 20000)")
	f.confirmNow()
	servers.Eventually(t, "it was asked", func() bool {
		_, failure := moved.standby.awaited()
		return failure != nil && strings.Contains(failure.Error(), "does not follow")
	})
	if _, ok := moved.standby.Begin(); ok {
		t.Error("a standby of the old timeline is vouched for")
	}
}

func TestStandbyConnectionLost(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	label, ok := m.standby.Begin()
	if !ok {
		t.Fatal("the standby is not vouched for: nothing is tested")
	}
	began := fence.Now()
	if err := m.server.Stop(servers.Fast); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "nothing is vouched for", func() bool { _, ok := m.standby.Begin(); return !ok })
	if m.standby.Confirm(t.Context(), label, began, fence.Now()) == nil {
		t.Error("confirmed without a connection")
	}
	if err := m.server.Start(); err != nil {
		t.Fatal(err)
	}
	m.awaitVouched()
	if m.standby.Confirm(t.Context(), label, began, fence.Now()) == nil {
		t.Error("a load over a restart of the standby was confirmed")
	}
}

func TestStandbyNamesItsServer(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	second := servers.StartStandby(t, m.primary, servers.PostgresOptions{})
	name := func(conn *pgx.Conn) (name string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT "+StandbyServerSQL).Scan(&name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	if !m.standby.Serves(name(m.read)) || m.standby.Serves(name(m.open(second))) || m.standby.Serves("") {
		t.Error("the standby is taken for another, or another for it")
	}
}

func TestReloadOfTheStandbyIsNoticed(t *testing.T) {
	t.Parallel()
	m := newMirrored(t, nil)
	config, err := pgx.ParseConfig(m.server.FollowerDSN(m.name))
	if err != nil {
		t.Fatal(err)
	}
	reloads := make(chan struct{}, 100)
	s, err := NewStandby(StandbyOptions{ConnConfig: config, Follower: m.Follower, OnReload: func() { reloads <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	await := func() {
		t.Helper()
		select {
		case <-reloads:
		case <-time.After(waitMax):
			t.Fatal("not told")
		}
	}
	await() // at the start of the connection
	servers.Eventually(t, "vouched for", func() bool { _, ok := s.Begin(); return ok })
	runOn(t, m.read, "SELECT pg_reload_conf()")
	await()
	await()
	servers.Eventually(t, "vouched for again", func() bool { _, ok := s.Begin(); return ok })
}

func TestStandbyOptionsAreChecked(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig("host=/a,/b port=1 dbname=d user=u")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewStandby(StandbyOptions{}); err == nil {
		t.Error("made from nothing")
	}
	if _, err := NewStandby(StandbyOptions{ConnConfig: config, Follower: &Follower{}}); err == nil || !strings.Contains(err.Error(), "several hosts") {
		t.Errorf("several hosts: %v", err)
	}
}
