package cache_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet/freshet/cache"
)

// spoken counts what the connections of a pool send, each time as one piece: a round trip.
type spoken struct{ writes atomic.Int64 }

func (s *spoken) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return &talk{conn, s}, err
}

type talk struct {
	net.Conn
	by *spoken
}

func (c *talk) Write(b []byte) (int, error) {
	c.by.writes.Add(1)
	return c.Conn.Write(b)
}

// A miss is one round trip, the proof of its connection and the lookup of a join included,
// and little more is allocated for it than for the pool's own read.
func TestMissIsOneRoundTrip(t *testing.T) {
	const trips, allocationsMax = 20, 41
	var s spoken
	o := openDB(t, shopSchema, func(c *pgxpool.Config, o *cache.Options) {
		c.MaxConns, c.ConnConfig.DialFunc = 1, s.dial
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
		if n := testing.AllocsPerRun(50, read); name == "a row" && n > allocationsMax {
			t.Errorf("%s: %v allocations a miss, at most %d", name, n, allocationsMax)
		}
	}
}
