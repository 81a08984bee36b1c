package wire

import (
	"bytes"
	"testing"
)

// planningSchema has two functions that change a setting of the session, and that Postgres calls
// when it plans: the immutable folded to fold it into a constant, the stable guessed to guess how
// many rows there will be.
const planningSchema = itemSchema + `
CREATE TABLE raw (id int PRIMARY KEY, b bytea);
INSERT INTO raw VALUES (1, '\xff');
CREATE FUNCTION folded() RETURNS int LANGUAGE plpgsql IMMUTABLE AS
	$$ BEGIN PERFORM set_config('bytea_output', 'escape', false); RETURN 1; END $$;
CREATE FUNCTION guessed() RETURNS int LANGUAGE plpgsql STABLE AS
	$$ BEGIN PERFORM set_config('bytea_output', 'escape', false); RETURN 1; END $$;`

// A Bind has Postgres plan, also without an Execute, and the functions that Postgres calls for that
// may change settings. A read behind the Bind is answered under the new settings, as by Postgres.
func TestReadIsAnsweredUnderTheSettingsThatABindHasMade(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, planningSchema)
	s := bed.sidecar()
	read := msgQuery("SELECT b FROM raw WHERE id = 1")
	folded, guessed := "SELECT folded()", "SELECT id FROM raw WHERE id < guessed()"
	for name, change := range map[string][]step{
		"bound":                   {synced(msgParse("", folded), msgBind(""))},
		"bound, for an estimate":  {synced(msgParse("", guessed), msgBind(""))},
		"bound and described":     {synced(msgParse("", folded), msgBind(""), msgDescribe('P', ""))},
		"bound and closed":        {synced(msgParse("", folded), msgBind(""), msgClose('P', ""))},
		"bound to a named portal": {synced(msgParse("", folded), binding{portal: "p"}.message())},
		"bound, prepared by name": {synced(msgParse("s", folded)), synced(msgBind("s"))},
		"bound behind a Flush":    {{join(msgParse("", folded), msgBind(""), msgFlush), "2"}, synced()},
		"bound in two parts":      {{join(msgParse("", folded), msgFlush), "1"}, synced(msgBind(""))},
		"bound beside a read":     {synced(msgParse("", folded), msgBind(""), readRaw(), msgExecute("", 0))},
	} {
		t.Run(name, func(t *testing.T) {
			direct, through := dialRaw(t, bed.postgres.DSN(bed.database)), dialRaw(t, s.dsn())
			for range 3 {
				through.ask(read)
			}
			for _, step := range append(change, step{read, "Z"}, step{read, "Z"}) {
				direct.send(step.send)
				through.send(step.send)
				want, got := direct.until(step.until), through.until(step.until)
				if !bytes.Equal(want, got) {
					t.Errorf("Postgres says\n%s\nthe sidecar says\n%s", show(want), show(got))
				}
			}
		})
	}
}

// readRaw binds the unnamed portal to a read of raw.
func readRaw() []byte { return join(msgParse("", "SELECT id FROM raw"), msgBind("")) }
