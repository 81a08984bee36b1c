package wire

import (
	"testing"

	"github.com/freshet/freshet/loadtest/servers"
)

const typeNamesSchema = itemSchema + `
CREATE SCHEMA front;
CREATE SCHEMA behind;
CREATE TYPE mood AS ENUM ('ok');
CREATE COLLATION mine (provider = libc, locale = 'C');
CREATE TABLE felt (id int PRIMARY KEY, m mood, u uuid, t text COLLATE mine);
INSERT INTO felt VALUES (1, 'ok', NULL, 'x');`

// The names of types and collations are answered from the cache, with the same bytes as by Postgres.
// Behind each definition that changes a name, which another session makes at Postgres directly, the
// new name is answered, at first and from the cache again.
func TestCase47NamesOfTypesFollowDefinitions(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, typeNamesSchema)
	s := bed.sidecar()
	through, direct := dialRaw(t, s.dsn()), dialRaw(t, bed.postgres.DSN(bed.database))
	for _, c := range []*rawClient{through, direct} {
		c.ask(msgQuery("SET search_path = front, public, pg_catalog"))
	}
	reads := []step{
		query("SELECT pg_typeof(m), pg_typeof(u)::text, pg_collation_for(t) FROM felt WHERE id = 1"),
		synced(msgParse("", "SELECT pg_typeof(m), pg_typeof($1) FROM felt WHERE id = 1", oidInt4), binding{values: [][]byte{[]byte("1")}, results: []uint16{1}}.message(), msgDescribe('P', ""), msgExecute("", 0)),
	}
	same := func(why string) {
		t.Helper()
		wantSame(t, why, through, direct, reads...)
	}
	for _, ddl := range []string{
		"SELECT 1",
		"ALTER TYPE mood RENAME TO temper",
		"ALTER TYPE temper SET SCHEMA behind",
		"ALTER SCHEMA behind RENAME TO far",
		"ALTER TYPE far.temper SET SCHEMA public",
		"CREATE TABLE front.temper (id int)", // hides the type
		"DROP TABLE front.temper",
		"CREATE DOMAIN front.uuid AS text", // hides Postgres' own type
		"DROP DOMAIN front.uuid",
		"ALTER COLLATION mine RENAME TO yours",
		"ALTER TABLE felt ALTER m TYPE text",
		"BEGIN; CREATE TYPE public.other AS ENUM ('x'); ALTER TABLE felt ALTER u TYPE public.other USING NULL; COMMIT",
	} {
		bed.exec(ddl)
		s.received()
		same(ddl)
		servers.Eventually(t, "nothing but hits behind "+ddl, func() bool {
			before := s.count(HitL1)
			same("warm, " + ddl)
			return s.count(HitL1)-before == uint64(len(reads))
		})
	}
}
