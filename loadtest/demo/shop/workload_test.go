package shop

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

var small = DataSet{Customers: 200, Products: 400, Orders: 500, Reviews: 500, SalesDays: 10}

// setup fills a small shop and returns options whose only door is PostgreSQL
// itself.
func setup(t *testing.T) (Options, *servers.Postgres) {
	t.Helper()
	pg := servers.SharedPostgres(t)
	database := pg.CreateDatabase(t)
	if _, err := Fill(t.Context(), pg.DSN(database), small, 1); err != nil {
		t.Fatal(err)
	}
	door := Door{Name: "PostgreSQL", Dir: pg.SocketDir(), Port: pg.Port(), Database: database}
	return Options{
		Doors: []Door{door}, Direct: door, CountersDSN: pg.DSN(database), DataSet: small, Seed: 1,
		Readers: 10, ReadsPerSecond: 400, OfficePerSecond: 50, Crowd: 10, StampedeEvery: 200 * time.Millisecond,
		Duration: 3 * time.Second, // of which the probe's pace follows
	}, pg
}

// runUntil runs a workload until its report satisfies enough, and returns the
// last report.
func runUntil(t *testing.T, options Options, enough func(Report) bool) Report {
	t.Helper()
	w, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for !enough(w.Report()) {
		select {
		case err := <-done:
			t.Fatalf("the workload ended early: %v; report %+v", err, w.Report())
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return w.Report()
}

func TestPostgresItselfKeepsThePromises(t *testing.T) {
	options, _ := setup(t)
	r := runUntil(t, options, func(r Report) bool {
		return r.Checks.OwnChecked > 20 && r.Checks.Contested > 100 && r.Stampedes.Count > 1 &&
			r.Discounts > 0 && r.Visible.Count > 3 && r.Probe.First.Reached.Count > 3 &&
			!slices.ContainsFunc(r.Statements, func(st StatementReport) bool { return st.Through.Count == 0 || st.Direct.Count == 0 })
	})
	if r.Errors != 0 {
		t.Fatalf("%d errors: %q", r.Errors, r.ErrorExamples)
	}
	if r.Checks.Violations() != 0 || r.Checks.Late != 0 || r.Checks.Unjudged != 0 {
		t.Errorf("PostgreSQL itself is found stale: %+v", r.Checks)
	}
	if r.Checks.Totals == 0 {
		t.Error("no order's total was compared with its items")
	}
	for _, st := range r.Statements {
		if st.Asked == 0 || st.Asked != st.Reached {
			t.Errorf("%s: asked %d times, PostgreSQL counted %d", st.Name, st.Asked, st.Reached)
		}
		if st.Through.Count == 0 || st.Direct.Count == 0 || st.Through.P99 < st.Through.P50 || st.Direct.P50 == 0 {
			t.Errorf("%s: times %+v and %+v", st.Name, st.Through, st.Direct)
		}
	}
	if r.Stampedes.Asked != 10*r.Stampedes.Count || r.Stampedes.Reached != r.Stampedes.Asked {
		t.Errorf("stampedes: %+v", r.Stampedes)
	}
	if r.NeverVisible != 0 || r.Probe.Again.Spared.Count != 0 || r.Probe.Again.Reached.Count == 0 {
		t.Errorf("never visible %d, probe %+v", r.NeverVisible, r.Probe)
	}
}

func TestFillIsTheSameEachTimeAndConsistent(t *testing.T) {
	pg := servers.SharedPostgres(t)
	var sums [2]string
	for i := range sums {
		dsn := pg.DSN(pg.CreateDatabase(t))
		rows, err := Fill(t.Context(), dsn, small, 7)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var counted, wrong int64
		err = conn.QueryRow(t.Context(), `SELECT
			(SELECT count(*) FROM categories) + (SELECT count(*) FROM products) + (SELECT count(*) FROM stock) +
			(SELECT count(*) FROM customers) + (SELECT count(*) FROM orders) + (SELECT count(*) FROM order_items) +
			(SELECT count(*) FROM reviews) + (SELECT count(*) FROM daily_sales),
			(SELECT count(*) FROM orders o WHERE total_cents <> (SELECT sum(quantity * price_cents) FROM order_items WHERE order_id = o.id)) +
			(SELECT count(*) FROM customers c WHERE orders <> (SELECT coalesce(max(number), 0) FROM orders WHERE customer_id = c.id)),
			(SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM products p)`).Scan(&counted, &wrong, &sums[i])
		if err != nil {
			t.Fatal(err)
		}
		if counted != rows || wrong != 0 {
			t.Errorf("%d rows, %d reported; %d inconsistent", counted, rows, wrong)
		}
	}
	if sums[0] != sums[1] {
		t.Error("two data sets of one seed differ")
	}
}

func TestErrorsAreCountedAndClientsComeBack(t *testing.T) {
	options, pg := setup(t)
	admin, err := pgx.Connect(t.Context(), pg.DSN(options.Direct.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	terminated := false
	var reachedThen uint64
	r := runUntil(t, options, func(r Report) bool {
		if !terminated && r.Asked > 50 {
			if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()`, roleApp); err != nil {
				t.Fatal(err)
			}
			terminated, reachedThen = true, r.Reached
		}
		return terminated && r.Errors > 0 && r.Reached > reachedThen+500 // who does not come back asks too, in vain
	})
	if r.Errors == 0 || len(r.ErrorExamples) == 0 {
		t.Errorf("ended sessions are no errors: %+v", r)
	}
}

func TestRunNeedsStatistics(t *testing.T) {
	options, _ := setup(t)
	bare := servers.StartPostgres(t, servers.PostgresOptions{})
	options.CountersDSN = bare.DSN("postgres")
	w, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); !errors.Is(err, ErrNoStatistics) {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesWhatMakesNoSense(t *testing.T) {
	door := Door{Dir: "/nowhere", Port: 1}
	for name, options := range map[string]Options{
		"no door":          {DataSet: small},
		"tiny data set":    {Doors: []Door{door}},
		"negative readers": {Doors: []Door{door}, DataSet: small, Readers: -1},
		"negative bound":   {Doors: []Door{door}, DataSet: small, Bound: -1},
	} {
		if _, err := New(options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	w, err := New(Options{Doors: []Door{door}, DataSet: small})
	if err != nil || w.options.Bound != time.Second || w.options.Readers != 20 {
		t.Errorf("defaults: %v, %+v", err, w.options)
	}
}
