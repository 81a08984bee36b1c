package drivers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// poolRounds is how often a program of pools writes on one connection of its pool and
// reads on another, at once behind the acknowledgement.
const poolRounds = 200

// Whoever writes on one connection of a pool and reads on the next is shown what it wrote:
// each program counts the reads that do not, and the cache answers in between.
func TestPoolsReadWhatTheyWrote(t *testing.T) {
	t.Parallel()
	programs := map[string]func(*testing.T, endpoint) string{
		"pgx": pgxPool,
		"psycopg": func(t *testing.T, at endpoint) string {
			python := pythonClient{modules: "psycopg", packages: "python3-psycopg"}.python(t)
			return output(t, at, "", python, filepath.Join("testdata", "python", "psycopg_pool_program.py"), fmt.Sprint(poolRounds))
		},
		"node-postgres": func(t *testing.T, at endpoint) string {
			dir, err := nodePrograms()
			if err != nil {
				t.Fatal(err)
			}
			return output(t, at, "", "node", filepath.Join(dir, "node_postgres_pool.js"), fmt.Sprint(poolRounds))
		},
	}
	for name, run := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newWatchedBed(t, "schema.sql")
			s := b.serve()
			b.reset(s)
			before := s.stats()
			if said := run(t, s.at); !strings.HasPrefix(said, "0 stale\n") {
				t.Errorf("of the reads on other connections, behind each of %d writes: %s", poolRounds, said)
			}
			if hits := s.stats().since(before).hits(); hits < poolRounds {
				t.Errorf("%d hits: the cache has hardly been asked", hits)
			}
		})
	}
}

// pgxPool is the program for pgx.
func pgxPool(t *testing.T, at endpoint) string {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), at.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	writer, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Release()
	stale := 0
	for round := 1; round <= poolRounds; round++ {
		if _, err := writer.Exec(t.Context(), "UPDATE item SET stock = $1 WHERE id = 1", round); err != nil {
			t.Fatal(err)
		}
		for range 3 { // the first may load what the others are answered with
			var stock int
			if err := pool.QueryRow(t.Context(), "SELECT stock FROM item WHERE id = $1", 1).Scan(&stock); err != nil {
				t.Fatal(err)
			}
			if stock != round {
				stale++
			}
		}
	}
	return fmt.Sprintf("%d stale\n", stale)
}
