// Package footprint measures the memory of a sidecar: what an answer that is kept takes
// beside its own bytes, how far the process grows beyond --memory while large answers come
// and go, and what a client costs that does nothing.
//
// A Run starts and ends all servers itself. Resident memory is the kernel's word, read from
// outside the process; what is kept is the sidecar's own.
package footprint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

const (
	// smallBytes and largeBytes are the sizes of the answers' only value.
	smallBytes = 100
	largeBytes = 32 << 10
	// writeEvery is how many large reads there are to a write.
	writeEvery = 20
	// settle is how long a sidecar is left alone before its memory is read.
	settle = 2 * time.Second
)

// Options say what to run. All are required.
type Options struct {
	// Program is the built freshet, Memory its --memory as it reads it.
	Program, Memory string
	// Small is how many small answers are kept, Large how many rows there are for large ones,
	// which should be more than fit. Clients is how many do nothing.
	Small, Large, Clients int
	// Churn is how long large answers come and go.
	Churn time.Duration
	// Progress is told of each step.
	Progress func(what string)
}

// Report is what was found, in bytes.
type Report struct {
	// Begun is the resident memory of a sidecar that has served nothing.
	Begun int64 `json:"begun"`
	// SmallKept counts answers of SmallPayload bytes together, which took SmallCounted by the
	// sidecar's own account and SmallResident by the kernel's.
	SmallKept     int64 `json:"small_kept"`
	SmallPayload  int64 `json:"small_payload"`
	SmallCounted  int64 `json:"small_counted"`
	SmallResident int64 `json:"small_resident"`
	// Limit is --memory, ChurnReads the large answers that were read and ChurnWrites the rows
	// that were written meanwhile; ChurnHighest is the most that was resident.
	Limit        int64 `json:"limit"`
	ChurnReads   int64 `json:"churn_reads"`
	ChurnWrites  int64 `json:"churn_writes"`
	ChurnHighest int64 `json:"churn_highest"`
	// Clients do nothing, and take ClientResident together.
	Clients        int64 `json:"clients"`
	ClientResident int64 `json:"client_resident"`
}

// kept is what the sidecar says of its memory.
type kept struct {
	L1 struct {
		Items, Bytes int64
		LimitBytes   int64 `json:"limit_bytes"`
	} `json:"l1"`
}

// run is a run with its servers.
type run struct {
	Options
	postgres *servers.Postgres
	sidecar  *servers.Freshet
	client   *pgx.Conn
	report   Report
}

const database = "footprint"

// Run measures.
func Run(ctx context.Context, o Options) (report Report, err error) {
	r := &run{Options: o}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"start the servers", r.start},
		{fmt.Sprintf("keep %d small answers", o.Small), r.small},
		{fmt.Sprintf("have %d clients do nothing", o.Clients), r.idle},
		{fmt.Sprintf("have large answers come and go for %s", o.Churn), r.churn},
	} {
		o.Progress(step.what)
		if err := step.do(ctx); err != nil {
			return r.report, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return r.report, nil
}

func (r *run) start(ctx context.Context) (err error) {
	const others = 50
	r.postgres, err = servers.LaunchPostgres(ctx, servers.PostgresOptions{Settings: map[string]string{"max_connections": strconv.Itoa(r.Clients + others)}})
	if err != nil {
		return err
	}
	if err := r.postgres.Execute(ctx, "postgres", "CREATE DATABASE "+database); err != nil {
		return err
	}
	// What is large must not be made smaller by Postgres, nor take its time to compress.
	if err := r.postgres.Execute(ctx, database, fmt.Sprintf(`
		CREATE TABLE small (id bigint PRIMARY KEY, body text NOT NULL);
		CREATE TABLE large (id bigint PRIMARY KEY, body text NOT NULL);
		ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
		INSERT INTO small SELECT n, repeat('x', %d) FROM generate_series(1, %d) n;
		INSERT INTO large SELECT n, repeat('x', %d) FROM generate_series(1, %d) n;
		ANALYZE`, smallBytes, r.Small, largeBytes, r.Large)); err != nil {
		return err
	}
	r.sidecar, err = servers.LaunchFreshet(ctx, servers.FreshetOptions{
		Program: r.Program, Owner: r.postgres.DSN(database), Upstream: r.postgres.FollowerDSN(database),
		Flags: []string{"--memory", r.Memory, "--verify", "0", "--staleness", "10s"},
	})
	if err != nil {
		return err
	}
	if r.client, err = r.connect(ctx); err != nil {
		return err
	}
	r.report.Begun, err = r.resident(ctx)
	return err
}

func (r *run) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", r.sidecar.SocketDir(), r.sidecar.Port(), database))
}

// resident is what the sidecar takes once it is left alone.
func (r *run) resident(ctx context.Context) (int64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(settle):
		return r.sidecar.ResidentBytes()
	}
}

// kept asks the sidecar what it keeps.
func (r *run) kept(ctx context.Context) (k kept, err error) {
	var text string
	if err := r.client.QueryRow(ctx, "SHOW freshet.report").Scan(&text); err != nil {
		return k, err
	}
	return k, json.Unmarshal([]byte(text), &k)
}

func (r *run) read(ctx context.Context, table string, id int) error {
	var body string
	return r.client.QueryRow(ctx, "SELECT body FROM "+table+" WHERE id = $1", id).Scan(&body)
}

// small reads each small row twice: what is asked for once need not be kept.
func (r *run) small(ctx context.Context) error {
	for range 2 {
		for id := 1; id <= r.Small; id++ {
			if err := r.read(ctx, "small", id); err != nil {
				return err
			}
		}
	}
	k, err := r.kept(ctx)
	if err != nil {
		return err
	}
	resident, err := r.resident(ctx)
	// A DataRow of one column has 11 bytes around its value, and CommandComplete 14.
	const messages = 11 + 14
	r.report.SmallKept, r.report.SmallPayload, r.report.SmallCounted = k.L1.Items, k.L1.Items*(smallBytes+messages), k.L1.Bytes
	r.report.SmallResident, r.report.Limit = resident-r.report.Begun, k.L1.LimitBytes
	return err
}

func (r *run) idle(ctx context.Context) error {
	before, err := r.resident(ctx)
	if err != nil {
		return err
	}
	var clients []*pgx.Conn
	defer func() {
		for _, c := range clients {
			_ = c.Close(context.WithoutCancel(ctx)) // nobody waits for it
		}
	}()
	for range r.Clients {
		c, err := r.connect(ctx)
		if err != nil {
			return err
		}
		clients = append(clients, c)
	}
	after, err := r.resident(ctx)
	r.report.Clients, r.report.ClientResident = int64(r.Clients), after-before
	return err
}

// churn reads large rows at random, a tenth of them most of the time, and writes some.
func (r *run) churn(ctx context.Context) error {
	near, err := pgx.Connect(ctx, r.postgres.DSN(database))
	if err != nil {
		return err
	}
	defer near.Close(ctx)
	for until := time.Now().Add(r.Churn); time.Now().Before(until); {
		among := r.Large
		if rand.IntN(4) > 0 {
			among /= 10
		}
		id := 1 + rand.IntN(among)
		if err := r.read(ctx, "large", id); err != nil {
			return err
		}
		r.report.ChurnReads++
		if r.report.ChurnReads%writeEvery != 0 {
			continue
		}
		if _, err := near.Exec(ctx, "UPDATE large SET body = reverse(body) WHERE id = $1", id); err != nil {
			return err
		}
		r.report.ChurnWrites++
		now, err := r.sidecar.ResidentBytes()
		if err != nil {
			return err
		}
		r.report.ChurnHighest = max(r.report.ChurnHighest, now)
	}
	return nil
}

func (r *run) close() error {
	var problems []error
	if r.client != nil {
		problems = append(problems, r.client.Close(context.Background()))
	}
	if r.sidecar != nil {
		problems = append(problems, r.sidecar.Close())
	}
	if r.postgres != nil {
		problems = append(problems, r.postgres.Close())
	}
	return errors.Join(problems...)
}
