package cache_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
	"github.com/freshet/freshet/loadtest/allocations"
)

// spoken counts what the connections of a pool send, each time as one piece: a round trip.
type spoken struct{ writes atomic.Int64 }

func (s *spoken) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return &talk{conn, s}, err
}

// of has what a pool of one connection sends counted, without what follows the database.
func (s *spoken) of(c *pgxpool.Config, o *cache.Options) {
	o.Follow = c.ConnConfig.Copy()
	c.MaxConns, c.ConnConfig.DialFunc = 1, s.dial
}

type talk struct {
	net.Conn
	by *spoken
}

func (c *talk) Write(b []byte) (int, error) {
	c.by.writes.Add(1)
	return c.Conn.Write(b)
}

// GetMany of a hundred keys, of which fifty are in memory, is one question to Postgres, and
// what is allocated for each of the others is what keeps it.
func TestGetManyIsOneRoundTrip(t *testing.T) {
	const keys, hot, rounds, allocationsEach = 100, 50, 20, 18
	var s spoken
	o := openDB(t, shopSchema, s.of)
	authors, salt := saltedAuthors(o), 0
	ask := func() {
		salt++
		if found, err := authors.GetMany(t.Context(), saltedKeys(keys, hot, salt)); err != nil || len(found) != keys {
			t.Fatal(len(found), err)
		}
	}
	for range 3 { // understood, asked whole, prepared
		ask()
	}
	before, loads := s.writes.Load(), o.Stats().Functions["author"].Loads
	for range rounds {
		ask()
	}
	if n, loaded := s.writes.Load()-before, o.Stats().Functions["author"].Loads-loads; n != rounds || loaded != rounds {
		t.Errorf("%d round trips and %d loads for %d calls", n, loaded, rounds)
	}
	if n := allocations.Fewest(rounds, ask); !cache.RaceDetector && n > (keys-hot)*allocationsEach {
		t.Errorf("%v allocations a call, at most %d for each key that is loaded", n, allocationsEach)
	}
}

// A miss is one round trip, the proof of its connection and the lookup of a join included,
// and little more is allocated for it than for the pool's own read.
func TestMissIsOneRoundTrip(t *testing.T) {
	const trips, allocationsMax = 20, 41
	var s spoken
	o := openDB(t, shopSchema, func(c *pgxpool.Config, o *cache.Options) {
		s.of(c, o)
		o.Memory = 1 // nothing stays
	})
	for name, sql := range map[string]string{
		"a row":  "SELECT id, name, bio FROM public.authors WHERE id = $1",
		"a join": "SELECT b.id, a.name, a.bio FROM public.books b JOIN public.authors a ON a.id = b.author_id WHERE b.id = $1",
	} {
		read := func() {
			var a author
			if err := o.QueryRow(t.Context(), sql, 1).Scan(&a.ID, &a.Name, &a.Bio); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 { // understood, asked whole, prepared
			read()
		}
		before := s.writes.Load()
		for range trips {
			read()
		}
		if n := s.writes.Load() - before; n != trips {
			t.Errorf("%s: %d round trips for %d misses", name, n, trips)
		}
		if n := allocations.Fewest(50, read); !cache.RaceDetector && name == "a row" && n > allocationsMax {
			t.Errorf("%s: %v allocations a miss, at most %d", name, n, allocationsMax)
		}
	}
}
