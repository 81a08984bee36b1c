package analysis

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// plantsSQL makes a table for each way in which a write runs code of users: it changes
// a setting, so who runs it can tell.
const plantsSQL = `
	CREATE FUNCTION plant() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('planted.ran', 'yes', true); RETURN 1; END$$;
	CREATE FUNCTION pure(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM plant(); RETURN v; END$$;
	CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM plant(); RETURN coalesce(NEW, OLD); END$$;

	CREATE TABLE plain (id int PRIMARY KEY, v int DEFAULT 0 CHECK (v >= 0), t text, at timestamptz DEFAULT now(), u uuid DEFAULT gen_random_uuid());
	CREATE INDEX ON plain (lower(t)) WHERE v > 0;
	INSERT INTO plain SELECT i, i, 'a' FROM generate_series(1, 20) i;
	CREATE TABLE numbered (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (id * 2) STORED);
	CREATE DOMAIN natural_number AS int CHECK (VALUE >= 0);
	CREATE TYPE shade AS ENUM ('light', 'dark');
	CREATE TABLE typed (id int, n natural_number, s shade, a int[], j jsonb);
	INSERT INTO typed VALUES (1, 1, 'dark', '{1}', '{}');
	CREATE TABLE above (id int PRIMARY KEY); INSERT INTO above SELECT generate_series(1, 20);
	CREATE TABLE below (id int PRIMARY KEY, above int REFERENCES above ON DELETE CASCADE ON UPDATE CASCADE);
	CREATE TABLE lowest (below int DEFAULT NULL REFERENCES below ON DELETE SET DEFAULT);
	INSERT INTO below VALUES (1, 1); INSERT INTO lowest VALUES (1);
	CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
	CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10);
	CREATE TABLE high PARTITION OF parts FOR VALUES FROM (10) TO (20);
	INSERT INTO parts VALUES (1, 1);
	CREATE VIEW shown AS SELECT id, v FROM plain WHERE v > 0 WITH CHECK OPTION;

	CREATE TABLE triggered (id int); CREATE TRIGGER a BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION fires();
	CREATE TABLE triggered_once (id int); CREATE TRIGGER a AFTER INSERT ON triggered_once EXECUTE FUNCTION fires();
	CREATE TABLE triggered_late (id int); CREATE CONSTRAINT TRIGGER a AFTER INSERT ON triggered_late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fires();
	CREATE TABLE triggered_if (id int); CREATE TRIGGER a BEFORE INSERT ON triggered_if FOR EACH ROW WHEN (pure(NEW.id) = 2) EXECUTE FUNCTION suppress_redundant_updates_trigger();
	DROP TRIGGER a ON triggered_if; CREATE TRIGGER a BEFORE UPDATE ON triggered_if FOR EACH ROW WHEN (pure(NEW.id) = 0) EXECUTE FUNCTION suppress_redundant_updates_trigger();
	INSERT INTO triggered_if VALUES (1);
	CREATE TABLE defaulted (id int, v int DEFAULT plant());
	CREATE TABLE checked (id int CHECK (plant() = 1));
	CREATE TABLE generated (id int, v int GENERATED ALWAYS AS (pure(id)) STORED);
	CREATE TABLE indexed (id int); CREATE INDEX ON indexed (pure(id));
	CREATE TABLE indexed_partly (id int); CREATE INDEX ON indexed_partly (id) WHERE pure(id) > 0;
	CREATE TABLE excluded (id int, EXCLUDE USING btree (pure(id) WITH =));
	CREATE DOMAIN doubted AS int CHECK (pure(VALUE) = VALUE); CREATE TABLE of_domain (id doubted);
	CREATE DOMAIN doubted_too AS doubted; CREATE TYPE with_domain AS (d doubted_too); CREATE TABLE of_type (id int, w with_domain);
	CREATE TABLE ruled (id int); CREATE RULE a AS ON INSERT TO ruled DO ALSO SELECT plant();
	CREATE TABLE ruled_instead (id int); CREATE RULE a AS ON INSERT TO ruled_instead DO INSTEAD SELECT plant();
	CREATE TABLE secured (id int); INSERT INTO secured VALUES (1); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; CREATE POLICY a ON secured USING (plant() = 1);
	GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
	CREATE TABLE partitioned (id int, v int) PARTITION BY RANGE (id);
	CREATE TABLE leaf PARTITION OF partitioned FOR VALUES FROM (0) TO (10); CREATE TRIGGER a BEFORE INSERT ON leaf FOR EACH ROW EXECUTE FUNCTION fires();
	CREATE TABLE by_expression (id int) PARTITION BY RANGE (pure(id));
	CREATE TABLE by_expression_1 PARTITION OF by_expression FOR VALUES FROM (0) TO (10);
	CREATE TABLE parent (id int); CREATE TABLE heir () INHERITS (parent); INSERT INTO heir VALUES (1);
	CREATE TRIGGER a BEFORE UPDATE ON heir FOR EACH ROW EXECUTE FUNCTION fires();
	CREATE TABLE referred (id int PRIMARY KEY); INSERT INTO referred SELECT generate_series(1, 9);
	CREATE TABLE referring (id int REFERENCES referred ON DELETE CASCADE); INSERT INTO referring VALUES (1), (2);
	CREATE TABLE referred_2 (id int PRIMARY KEY); INSERT INTO referred_2 VALUES (1);
	CREATE TABLE referring_2 (id int REFERENCES referred_2 ON DELETE CASCADE); INSERT INTO referring_2 VALUES (1);
	CREATE TRIGGER a BEFORE DELETE ON referring FOR EACH ROW EXECUTE FUNCTION fires();
	CREATE TABLE moved (id int) PARTITION BY RANGE (id);
	CREATE TABLE moved_from PARTITION OF moved FOR VALUES FROM (0) TO (5); CREATE TABLE moved_to PARTITION OF moved FOR VALUES FROM (5) TO (10);
	INSERT INTO moved VALUES (1); CREATE TRIGGER a BEFORE INSERT ON moved_to FOR EACH ROW EXECUTE FUNCTION fires();
	CREATE RULE a AS ON DELETE TO referring_2 DO ALSO SELECT plant();
	CREATE TABLE referred_3 (id int PRIMARY KEY, v int); INSERT INTO referred_3 VALUES (1, 1), (0, 1);
	CREATE FUNCTION plant_0() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM plant(); RETURN 0; END$$;
	CREATE TABLE referring_3 (id int DEFAULT plant_0() REFERENCES referred_3 ON DELETE SET DEFAULT); INSERT INTO referring_3 VALUES (1);
	CREATE VIEW redirected AS SELECT id FROM plain; CREATE TRIGGER a INSTEAD OF INSERT ON redirected FOR EACH ROW EXECUTE FUNCTION fires();
	CREATE VIEW computed AS SELECT id, plant() AS p FROM plain;
	CREATE FUNCTION less(int, int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM plant(); RETURN $1 < $2; END$$;
	CREATE OPERATOR <<< (FUNCTION = less, LEFTARG = int, RIGHTARG = int);
	CREATE TYPE own AS ENUM ('x', 'y');
	CREATE FUNCTION own_text(own) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM plant(); RETURN 'x'; END$$;
	CREATE CAST (own AS text) WITH FUNCTION own_text(own) AS IMPLICIT; CREATE TABLE of_own (o own, t text);
	CREATE FUNCTION own_json(own) RETURNS json IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM plant(); RETURN '1'; END$$;
	CREATE CAST (own AS json) WITH FUNCTION own_json(own);
	CREATE TEMP TABLE fleeting (id int)`

// runsCode are statements that run planted code.
var runsCode = []string{
	`INSERT INTO triggered VALUES (1)`, `INSERT INTO triggered_once VALUES (1)`, `INSERT INTO triggered_late VALUES (1)`, `UPDATE triggered_if SET id = 3`,
	`INSERT INTO defaulted (id) VALUES (1)`, `INSERT INTO defaulted VALUES (1, DEFAULT), (2, 3)`, `INSERT INTO checked VALUES (1)`,
	`INSERT INTO generated VALUES (1)`, `INSERT INTO indexed VALUES (1)`, `INSERT INTO indexed_partly VALUES (1)`, `INSERT INTO excluded VALUES (1)`,
	`INSERT INTO of_domain VALUES (1)`, `INSERT INTO of_type VALUES (1, ROW(1))`, `INSERT INTO ruled VALUES (1)`, `INSERT INTO ruled_instead VALUES (1)`,
	`INSERT INTO partitioned VALUES (1)`, `INSERT INTO leaf VALUES (1)`, `UPDATE moved SET id = 7`, `INSERT INTO by_expression VALUES (1)`, `UPDATE parent SET id = 2`,
	`DELETE FROM referred WHERE id = 1`, `DELETE FROM referred_2`, `DELETE FROM referred_3 WHERE id = 1`, `INSERT INTO redirected VALUES (30)`,
	`UPDATE plain SET v = plant()`, `UPDATE plain SET v = 1 WHERE plant() = 1`, `DELETE FROM plain WHERE id = plant()`, `UPDATE plain SET v = v RETURNING plant()`,
	`UPDATE plain SET v = 1 WHERE id <<< 3`, `SELECT plant()`, `SELECT p FROM computed`, `SELECT set_config('planted.ran', 'yes', true)`,
	`WITH a AS (INSERT INTO triggered VALUES (1) RETURNING id) SELECT * FROM a`, `INSERT INTO plain (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET v = plant()`,
	`INSERT INTO plain (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET v = 1 WHERE plant() = 1`,
	`MERGE INTO plain p USING (SELECT 1 AS id) s ON p.id = s.id WHEN MATCHED THEN UPDATE SET v = plant()`,
	`MERGE INTO triggered p USING (SELECT 1 AS id) s ON p.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (1)`,
	`INSERT INTO of_own (t) SELECT x::own FROM unnest('{x,y}'::own[]) x`, `UPDATE plain SET t = (SELECT to_json('{x}'::own[])::text)`,
	`SELECT query_to_xml('SELECT plant()', true, true, '')`,
	`UPDATE pg_settings SET setting = 'yes' WHERE name = 'planted.ran'`,
}

// changesRows are statements that change nothing but rows, with the tables.
var changesRows = map[string]string{
	`INSERT INTO plain VALUES (31, 1, 'a')`:                                                                 "plain",
	`INSERT INTO plain (id) VALUES (32), (33)`:                                                              "plain",
	`INSERT INTO plain (id, t) SELECT id + 100, upper(t) FROM plain`:                                        "plain",
	`INSERT INTO plain (id) VALUES (1) ON CONFLICT DO NOTHING`:                                              "plain",
	`INSERT INTO plain (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET v = excluded.v`:                       "plain",
	`UPDATE plain SET v = v + 1 WHERE id = 1 RETURNING *`:                                                   "plain",
	`UPDATE plain SET at = now(), u = gen_random_uuid(), t = t || 'b'`:                                      "plain",
	`UPDATE plain SET (v, t) = (SELECT 2, 'c')`:                                                             "plain",
	`UPDATE plain p SET v = t.id FROM typed t WHERE t.id = p.id`:                                            "plain",
	`DELETE FROM plain WHERE id = 1`:                                                                        "plain",
	`DELETE FROM plain USING typed WHERE plain.id = typed.id`:                                               "plain",
	`UPDATE shown SET v = 3 WHERE id = 2`:                                                                   "plain",
	`WITH gone AS (DELETE FROM plain WHERE id = 3 RETURNING id) INSERT INTO typed (id) SELECT id FROM gone`: "plain typed",
	`MERGE INTO plain p USING (SELECT 1 AS id) s ON p.id = s.id WHEN MATCHED THEN UPDATE SET v = 1 WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)`: "plain",
	`INSERT INTO numbered DEFAULT VALUES`:                                            "numbered",
	`INSERT INTO typed VALUES (2, 2, 'light', '{1,2}', '{"a": 1}')`:                  "typed",
	`UPDATE typed SET a[1] = 2, j['b'] = '1' WHERE s = 'dark'`:                       "typed",
	`INSERT INTO above VALUES (99)`:                                                  "above",
	`DELETE FROM above WHERE id = 1`:                                                 "above below lowest",
	`UPDATE above SET id = 300 WHERE id = 1`:                                         "above below",
	`DELETE FROM below`:                                                              "below lowest",
	`INSERT INTO parts VALUES (2, 2)`:                                                "parts",
	`UPDATE low SET v = 2`:                                                           "parts",
	`UPDATE parts SET id = 15 WHERE id = 1`:                                          "parts",
	`SELECT v FROM plain WHERE id = 1 FOR UPDATE`:                                    "",
	`SELECT now(), nextval('numbered_id_seq')`:                                       "",
	`SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace`: "",
	`COPY plain (id, v) FROM STDIN`:                                                  "plain",
	`INSERT INTO referring VALUES (3)`:                                               "",
	`UPDATE referred SET id = id WHERE id = 2`:                                       "",
}

// mustNotBeKnown are statements that run nothing that was planted, and that are not
// understood all the same.
var mustNotBeKnown = []string{
	`INSERT INTO fleeting VALUES (1)`, `CREATE TABLE made (id int)`, `SELECT 1 AS a INTO made`, `DO 'BEGIN END'`, `TRUNCATE plain`, `VACUUM plain`,
	`INSERT INTO plain VALUES (50); SELECT 1`, `SET a.b = 'c'`, `EXPLAIN ANALYZE INSERT INTO plain VALUES (51)`, `COPY plain FROM STDIN WHERE id > 1`,
	`COPY plain FROM '/dev/null'`, `COPY plain FROM PROGRAM 'true'`, `COPY plain TO STDOUT`, `COPY (SELECT plant()) TO STDOUT`, `COPY triggered FROM STDIN`,
	`COPY defaulted (id) FROM STDIN`, `COPY ruled FROM STDIN`, `INSERT INTO secured VALUES (1)`, `SELECT * FROM secured`, `nonsense`,
	`SELECT id FROM indexed_partly WHERE id = 1`,
}

type plants struct {
	*bench
	names map[uint32]string
}

func setupPlants(t *testing.T) *plants {
	b := setup(t)
	b.exec(t, plantsSQL)
	watched := map[string][]string{}
	p := &plants{b, map[uint32]string{}}
	for _, name := range []string{"plain", "numbered", "typed", "above", "below", "lowest", "parts"} {
		watched["public."+name] = []string{"id"}
	}
	b.watch = readWatch(t, b.conn, watched)
	for name, root := range b.watch.roots {
		p.names[root] = strings.TrimPrefix(name, "public.")
	}
	return p
}

// has tells whether the server has the command of a statement: PostgreSQL 14 has no MERGE.
func (p *plants) has(sql string) bool {
	return !strings.HasPrefix(sql, "MERGE") || majorVersion(p.conn.PgConn().ParameterStatus("server_version")) >= 15
}

// effect is what the analysis says of a statement: the tables, or "anything".
func (p *plants) effect(t *testing.T, sql string) string {
	t.Helper()
	v, err := p.analyzer.Analyze(t.Context(), request(sql))
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if v.Cacheable {
		return ""
	}
	if v.Effect == nil {
		return "anything"
	}
	var names []string
	for _, root := range v.Effect.Roots {
		names = append(names, p.names[root])
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// runs executes a statement, and takes it back. It reports whether planted code ran.
func (p *plants) runs(t *testing.T, sql string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	var ran bool
	err := pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
		if strings.HasPrefix(sql, "COPY") {
			_, err := tx.Conn().PgConn().CopyFrom(ctx, strings.NewReader("97\t1\n"), sql)
			if err != nil {
				return err
			}
		} else if _, err := tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT coalesce(current_setting('planted.ran', true), '') = 'yes'").Scan(&ran); err != nil {
			return err
		}
		return tx.Rollback(ctx)
	})
	if err != nil && err != pgx.ErrTxClosed {
		t.Fatalf("%s: %v", sql, err)
	}
	return ran
}

// However a statement comes to run code of users, its effect is not known. That the code
// runs is shown by running it.
func TestPlantedCodeHasNoEffectKnown(t *testing.T) {
	t.Parallel()
	p := setupPlants(t)
	for _, sql := range runsCode {
		if !p.has(sql) {
			continue
		}
		if !strings.Contains(sql, "pg_settings") && !p.runs(t, sql) {
			t.Errorf("%s: nothing planted ran: this shows nothing", sql)
		}
		if got := p.effect(t, sql); got != "anything" {
			t.Errorf("%s: said to change %q, and it runs code of users", sql, got)
		}
	}
	for _, sql := range mustNotBeKnown {
		if got := p.effect(t, sql); got != "anything" {
			t.Errorf("%s: said to change %q", sql, got)
		}
	}
}

func TestEffectOfWrites(t *testing.T) {
	t.Parallel()
	p := setupPlants(t)
	for sql, want := range changesRows {
		if !p.has(sql) {
			continue
		}
		if p.runs(t, sql) {
			t.Errorf("%s: planted code ran", sql)
		}
		if got := p.effect(t, sql); got != want {
			t.Errorf("%s: said to change %q, want %q", sql, got, want)
		}
	}
}

func TestCopiedInto(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		`COPY a FROM STDIN`: "a", `copy "A b".c ( x , "y" ) from stdin binary;`: `"A b".c`,
		`COPY a FROM STDIN WITH (FORMAT csv, HEADER true, NULL '')`: "a", `COPY a FROM STDIN CSV`: "a", "copy a from stdin with binary": "a",
		`COPY a FROM STDIN WHERE true`: "", `COPY a FROM STDIN (FORMAT csv) WHERE f()`: "", `COPY a TO STDOUT`: "", `COPY a FROM 'x'`: "",
		`COPY a FROM STDIN; SELECT f()`: "", `COPY (SELECT 1) TO STDOUT`: "", `COPY a(x FROM STDIN`: "", `COPY a FROM STDIN (NULL 'a\'`: "",
		`COPY a.b; FROM STDIN`: "", `COPY "a""b" FROM STDIN`: "", `COPY FROM STDIN`: "", `COPY a FROM STDIN WITH`: "", `COPY "a FROM STDIN`: "",
	} {
		if got, ok := copiedInto(sql); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v, want %q", sql, got, ok, want)
		}
	}
}
