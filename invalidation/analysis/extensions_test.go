package analysis

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/loadtest/servers"
)

// extensionSchema has a column of each type of the reviewed extensions.
const extensionSchema = `
	CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube;
	CREATE EXTENSION pg_trgm; CREATE EXTENSION pgcrypto; CREATE EXTENSION fuzzystrmatch;
	CREATE TABLE members (id int PRIMARY KEY, email citext, tags hstore, path ltree, spot cube);
	CREATE INDEX ON members (email); CREATE INDEX ON members USING gist (path);
	INSERT INTO members VALUES (1, 'A@x', 'k=>v', 'top.a', '(1,2)')`

func setupExtensions(t *testing.T, more string) *bench {
	t.Helper()
	b := setup(t)
	b.exec(t, extensionSchema+";"+more)
	b.watch = readWatch(t, b.conn, map[string][]string{"public.members": {"id"}, "public.users": {"id", "email"}})
	b.analyzer = b.newAnalyzer(t)
	return b
}

// Types of well-known extensions are printed, compared, ordered and cast as those of
// Postgres' own are.
func TestCase46ReviewedExtensions(t *testing.T) {
	setupExtensions(t, "").wantVerdicts(t, map[string]string{
		`SELECT * FROM members WHERE id = $1`:                                             "members/id=$1",
		`SELECT id FROM members WHERE email = $1`:                                         "members",
		`SELECT id FROM members WHERE email = 'a@X' AND id = 1`:                           "members/id='1'",
		`SELECT email FROM members WHERE id = $1 ORDER BY email`:                          "members/id=$1",
		`SELECT DISTINCT email, path FROM members`:                                        "members",
		`SELECT email, count(*) FROM members GROUP BY email HAVING count(*) > 1`:          "members",
		`SELECT max(email), min(email) FROM members`:                                      "members",
		`SELECT email FROM members UNION SELECT email::citext FROM users`:                 "members users",
		`SELECT u.id FROM users u JOIN members m ON m.email = u.email::citext`:            "members users",
		`SELECT id FROM members WHERE (email, id) > ($1, $2) ORDER BY email, id LIMIT 10`: "members",
		`SELECT id FROM members WHERE email LIKE 'a%' AND email ~ '^a'`:                   "members",
		`SELECT id FROM members WHERE email = ANY ($1)`:                                   "members",
		`SELECT array_agg(email ORDER BY email), to_jsonb(tags) FROM members GROUP BY 2`:  "members",
		`SELECT tags -> 'k', tags ? 'k', hstore('a', 'b'), to_jsonb(tags) FROM members`:   "members",
		`SELECT id FROM members WHERE path <@ 'top' ORDER BY nlevel(path)`:                "members",
		`SELECT path ~ '*.a'::lquery, subpath(path, 0, 1) FROM members`:                   "members",
		`SELECT cube_dim(spot), spot <-> '(0,0)' FROM members ORDER BY spot`:              "members",
		`SELECT similarity(email::text, 'x'), levenshtein('a', 'b') FROM members`:         "members",
		`SELECT digest(email::text, 'sha256') FROM members`:                               "members",
		`SELECT id FROM members WHERE email::text % 'x'`:                                  "no: user_function",
		`SELECT replace(email, 'a', 'b') FROM members`:                                    "no: user_function",
		`SELECT gen_salt('bf')`:               "no: user_function",
		`SELECT hstore(members) FROM members`: "no: user_function",
	})
}

// Whoever names a function or a type as an extension does gains nothing.
func TestNamesOfExtensionsProveNothing(t *testing.T) {
	b := setupExtensions(t, `
		CREATE FUNCTION similarity(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
		CREATE FUNCTION levenshtein(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
		ALTER EXTENSION fuzzystrmatch ADD FUNCTION levenshtein(int, int);
		CREATE FUNCTION pick(citext, citext, citext) RETURNS citext IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
		CREATE AGGREGATE max(citext, citext) (SFUNC = pick, STYPE = citext);
		ALTER EXTENSION citext ADD AGGREGATE max(citext, citext);
		ALTER FUNCTION soundex(text) VOLATILE;
		ALTER FUNCTION metaphone(text, int) SET work_mem = '1MB';
		CREATE DOMAIN alt.citext AS text CHECK (f_imm(1) = 1)`)
	b.wantVerdicts(t, map[string]string{
		`SELECT similarity(1, 2)`:                 "no: user_function",
		`SELECT levenshtein(1, 2)`:                "no: user_function",
		`SELECT max(email, email) FROM members`:   "no: user_function",
		`SELECT soundex('x')`:                     "no: user_function",
		`SELECT metaphone('x', 3)`:                "no: user_function",
		`SELECT 'x'::alt.citext, id FROM members`: "no: unsafe_cast",
		`SELECT levenshtein('a', 'b') FROM users`: "users",
		`SELECT max(email) FROM members`:          "members",
		`SELECT soundex('x'), email FROM members`: "no: user_function",
	})
}

// cameLater are those that PostgreSQL 14 does not have yet.
var cameLater = newSet("hash_ltree", "hash_ltree_extended")

// notEverywhere are those that PostgreSQL does not bring itself.
var notEverywhere = newSet("vector", "postgis")

// vectorSchema makes what looks like the extension vector, of which there may be no package, of
// functions of Postgres' own.
const vectorSchema = `
	CREATE TYPE vector;
	CREATE FUNCTION vector_in(cstring) RETURNS vector IMMUTABLE STRICT LANGUAGE internal AS 'textin';
	CREATE FUNCTION vector_out(vector) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
	CREATE TYPE vector (INPUT = vector_in, OUTPUT = vector_out, LIKE = text);
	CREATE TYPE halfvec;
	CREATE FUNCTION halfvec_in(cstring) RETURNS halfvec IMMUTABLE STRICT LANGUAGE internal AS 'textin';
	CREATE FUNCTION halfvec_out(halfvec) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
	CREATE TYPE halfvec (INPUT = halfvec_in, OUTPUT = halfvec_out, LIKE = text);
	CREATE TYPE sparsevec;
	CREATE FUNCTION sparsevec_in(cstring) RETURNS sparsevec IMMUTABLE STRICT LANGUAGE internal AS 'textin';
	CREATE FUNCTION sparsevec_out(sparsevec) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
	CREATE TYPE sparsevec (INPUT = sparsevec_in, OUTPUT = sparsevec_out, LIKE = text);
	CREATE FUNCTION vector_dims(vector) RETURNS int IMMUTABLE STRICT LANGUAGE internal AS 'textlen';
	CREATE FUNCTION l2_distance(vector, vector) RETURNS bool IMMUTABLE STRICT LANGUAGE internal AS 'text_lt';
	CREATE OPERATOR <-> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = l2_distance);
	CREATE TABLE chunks (id int PRIMARY KEY, body text, embedding vector, half halfvec, sparse sparsevec)`

// Vectors are read and printed; the nearest are Postgres' to find. Of a type that nobody but its
// name makes one of the extension's nothing is known.
func TestVectors(t *testing.T) {
	b := setup(t)
	b.exec(t, vectorSchema)
	b.watch = readWatch(t, b.conn, map[string][]string{"public.chunks": {"id"}})
	b.analyzer = b.newAnalyzer(t)
	b.wantVerdicts(t, map[string]string{`SELECT embedding FROM chunks WHERE id = $1`: "no: unsafe_result_type"})
	b.exec(t, `INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) VALUES (90000, 'vector', 10, 2200, false, '0.8.0');
		ALTER EXTENSION vector ADD TYPE vector; ALTER EXTENSION vector ADD TYPE halfvec; ALTER EXTENSION vector ADD TYPE sparsevec; ALTER EXTENSION vector ADD FUNCTION vector_dims(vector); ALTER EXTENSION vector ADD FUNCTION l2_distance(vector, vector);
		ALTER EXTENSION vector ADD FUNCTION vector_in(cstring); ALTER EXTENSION vector ADD FUNCTION vector_out(vector)`)
	b.analyzer = b.newAnalyzer(t)
	b.wantVerdicts(t, map[string]string{
		`SELECT * FROM chunks WHERE id = $1`:                            "chunks/id=$1",
		`SELECT vector_dims(embedding), body FROM chunks WHERE id = $1`: "chunks/id=$1",
		`SELECT embedding, $1::vector FROM chunks WHERE id = 1`:         "chunks/id='1'",
		`SELECT half, $1::halfvec, sparse FROM chunks WHERE id = 1`:     "chunks/id='1'",
		`SELECT array_agg(embedding) FROM chunks`:                       "chunks",
		`SELECT id FROM chunks ORDER BY embedding <-> $1 LIMIT 5`:       "no: user_function",
		`SELECT id, l2_distance(embedding, embedding) FROM chunks`:      "no: user_function",
	})
}

// gisSchema has geometries of PostGIS, which is asked for its word without its table of systems of
// coordinates.
const gisSchema = `
	CREATE EXTENSION postgis;
	CREATE TABLE places (id int PRIMARY KEY, at geometry(Point, 4326), area geometry, far geography);
	CREATE INDEX ON places USING gist (at);
	INSERT INTO places SELECT i, ST_SetSRID(ST_MakePoint(i, i), 4326), ST_MakeEnvelope(0, 0, i, i, 4326) FROM generate_series(1, 3) i;
	ALTER TABLE spatial_ref_sys RENAME TO gone`

// Of PostGIS geometries are printed, compared and made, as far as no table is asked: what is cached
// Postgres answers without one, and what asks it is not cached.
func TestPostGIS(t *testing.T) {
	b := setup(t)
	var here bool
	if err := b.conn.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'postgis'").Scan(&here); err != nil {
		t.Fatal(err)
	}
	switch {
	case here:
	case os.Getenv(servers.EnvPostgresBin) != "":
		t.Skip("the server that was named has no PostGIS: Debian's has")
	default:
		t.Fatal("PostGIS is missing: run .ci/install-packages tests")
	}
	b.exec(t, gisSchema)
	b.watch = readWatch(t, b.conn, map[string][]string{"public.places": {"id"}})
	b.analyzer = b.newAnalyzer(t)
	verdicts := map[string]string{
		`SELECT id, at, area FROM places WHERE id = $1`: "places/id=$1",
		`SELECT ST_X(at), ST_Y(at), ST_Z(at), ST_M(at), ST_SRID(at), ST_NDims(at), ST_CoordDim(at), ST_Dimension(area), ST_IsEmpty(at), ST_IsClosed(area) FROM places`:                 "places",
		`SELECT ST_NPoints(area), ST_NumPoints(area), ST_NumGeometries(area), ST_GeometryType(at), GeometryType(at) FROM places`:                                                       "places",
		`SELECT ST_StartPoint(area), ST_EndPoint(area), ST_PointN(at, 1), ST_GeometryN(area, 1), ST_Envelope(area), ST_Expand(at, 1) FROM places`:                                      "places",
		`SELECT ST_AsText(at), ST_AsText(at, 3), ST_AsEWKT(at), ST_AsEWKT(at, 3), ST_AsBinary(at), ST_AsBinary(at, 'NDR'), ST_AsEWKB(at), ST_AsHEXEWKB(at) FROM places`:                "places",
		`SELECT ST_XMin(at), ST_YMin(at), ST_ZMin(at), ST_XMax(at), ST_YMax(at), ST_ZMax(at), box2d(at), box3d(at) FROM places`:                                                        "places",
		`SELECT ST_MakePoint(1, 2), ST_MakePoint(1, 2, 3), ST_Point(1, 2), ST_SetSRID(at, 3857), at::geometry(Point, 4326) FROM places`:                                                "places",
		`SELECT id FROM places WHERE at && ST_MakeEnvelope(0, 0, 2, 2, 4326) ORDER BY at`:                                                                                              "places",
		`SELECT id FROM places WHERE at @ area AND area ~ at AND at ~= at AND at = at AND NOT (at << at OR at >> at OR at <<| at OR at |>> at)`:                                        "places",
		`SELECT id FROM places WHERE at &< at AND at &> at AND at &<| at AND at |&> at`:                                                                                                "places",
		`SELECT id FROM places WHERE ST_Intersects(at, area) AND ST_DWithin(at, area, 1) AND ST_Covers(area, at) AND ST_CoveredBy(at, area)`:                                           "places",
		`SELECT ST_Contains(area, at), ST_Within(at, area), ST_Touches(at, area), ST_Crosses(at, area), ST_Overlaps(area, area), ST_Equals(at, at), ST_Disjoint(at, area) FROM places`: "places",
		`SELECT DISTINCT at FROM places`:                                          "places",
		`SELECT id, at FROM places ORDER BY id LIMIT 3`:                           "places",
		`SELECT id, 'SRID=4326;POINT(1 2)'::geometry FROM places`:                 "places",
		`SELECT id, '{"type":"Point","coordinates":[1,2]}'::geometry FROM places`: "no: unsafe_cast",
		`SELECT id FROM places WHERE at && $1`:                                    "no: unsafe_cast",
		`SELECT id, ST_AsText(at)::geometry FROM places`:                          "no: user_function",
		`SELECT far FROM places`:                                                  "no: unsafe_result_type",
		`SELECT ST_AsText(far) FROM places`:                                       "no: user_function",
		`SELECT ST_Intersects(far, far) FROM places`:                              "no: user_function",
		`SELECT ST_AsGeoJSON(at) FROM places`:                                     "no: user_function",
		`SELECT ST_Transform(at, 3857) FROM places`:                               "no: user_function",
		`SELECT ST_GeomFromGeoJSON('{}'), id FROM places`:                         "no: user_function",
		`SELECT ST_Distance(at, area) FROM places`:                                "no: user_function",
		`SELECT to_json(at) FROM places`:                                          "no: user_function",
	}
	b.wantVerdicts(t, verdicts)
	for sql, want := range verdicts {
		if strings.HasPrefix(want, "places") && !strings.Contains(sql, "$1") {
			b.exec(t, sql)
		}
	}
}

// TestExtensionsHaveWhatIsReviewed holds the list against what the servers' own
// extensions make: no name is dead, and each is in C or of Postgres' own.
func TestExtensionsHaveWhatIsReviewed(t *testing.T) {
	b := setup(t)
	for name, reviewed := range extensions {
		var here bool
		if err := b.conn.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_available_extensions WHERE name = $1", name).Scan(&here); err != nil {
			t.Fatal(err)
		}
		if !here && notEverywhere[name] {
			continue
		}
		b.exec(t, `CREATE EXTENSION IF NOT EXISTS "`+name+`"`)
		rows, err := b.conn.Query(t.Context(), `
			SELECT DISTINCT u.name FROM pg_proc p CROSS JOIN LATERAL (VALUES (p.proname::text), (p.proname || '(' || oidvectortypes(p.proargtypes) || ')')) u(name) JOIN pg_language l ON l.oid = p.prolang
			WHERE l.lanname IN ('c', 'internal') AND p.provolatile = 'i' AND p.oid IN (
				SELECT d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
				WHERE e.extname = $1 AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass)`, name)
		if err != nil {
			t.Fatal(err)
		}
		made, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, function := range slices.Concat(slices.Sorted(maps.Keys(reviewed.functions)), slices.Sorted(maps.Keys(reviewed.overloads))) {
			if !slices.Contains(made, function) && !cameLater[function] {
				t.Errorf("%s makes no function %s in C that is immutable", name, function)
			}
		}
	}
}
