package wire

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"

	"github.com/freshet/freshet/cache/engine"
	"github.com/freshet/freshet/invalidation"
	"github.com/freshet/freshet/loadtest/servers"
	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// The byte oracle. Two servers are made alike, file by file and identifier by identifier. One gets
// a corpus of statements directly, the other the same statements in the same order through a
// sidecar, in each of oracleModes, and a second time where hits are expected or the mode says so.
// Every byte that comes back must be the same: nothing is left out of the comparison but what
// maskUnequal names.

const (
	// oracleStatementsMin is how many statements the corpus has at least.
	oracleStatementsMin = 3500
	// oracleSharedHitsMin is how many answers the other sidecar gets out of Redis at least.
	oracleSharedHitsMin = 1500
	// oracleStatesMin is how many SQLSTATEs errors and notices have at least.
	oracleStatesMin = 100
)

// twin is one of the two servers.
type twin struct {
	bed *testbed
	dsn string // directly, or through the sidecar
}

// newTwinBed starts a server whose answers depend on nothing but the statements
// that it gets.
func newTwinBed(t *testing.T) *testbed {
	t.Helper()
	pg := servers.StartPostgres(t, servers.PostgresOptions{Settings: map[string]string{
		// Autovacuum and parallel workers act at moments of their own, which plans and the order of
		// rows depend on.
		"autovacuum": "off", "max_parallel_workers_per_gather": "0",
		"max_prepared_transactions": "5", "wal_level": "logical",
	}})
	b := &testbed{t: t, postgres: pg, database: "oracle"}
	admin := b.connect(pg.DSN("postgres"))
	if _, err := admin.Exec(context.Background(), "CREATE DATABASE oracle TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	b.direct = b.connect(pg.DSN(b.database))
	schema, err := os.ReadFile("testdata/corpus/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{string(schema), kindsSchema()} {
		if _, err := b.direct.Exec(context.Background(), sql); err != nil {
			t.Fatalf("make the tables of the corpus: %v", err)
		}
	}
	if _, err := invalidation.Install(context.Background(), b.direct, invalidation.Options{Watch: []string{"public.*"}, FollowerRoles: []string{servers.Follower}}); err != nil {
		t.Fatal(err)
	}
	b.makeTemporarySchemas()
	return b
}

// makeTemporarySchemas has each backend that a session may get make its temporary schema, which it
// would make with its first temporary table. A new schema takes identifiers, and which backend a
// session gets may differ between the servers.
func (b *testbed) makeTemporarySchemas() {
	b.t.Helper()
	const backends = 40
	for range backends {
		conn := b.connect(b.postgres.DSN(b.database))
		if _, err := conn.Exec(context.Background(), "CREATE TEMP TABLE first (id int)"); err != nil {
			b.t.Fatal(err)
		}
		defer conn.Close(context.Background())
	}
}

// A sidecar answers the whole corpus, in each of oracleModes, byte for byte as Postgres does.
func TestCorpusIsAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	plain, cached := newTwinBed(t), newTwinBed(t)
	// New tables are not watched: their triggers would take identifiers.
	unwatching := func(_ *engine.Options, f *invalidation.FollowerOptions) { f.Watch = nil }
	shared := withRedis(servers.SharedRedis(t).URL())
	s := cached.sidecar(unwatching, shared)
	encoder := &binaryEncoder{conn: plain.connect(plain.postgres.DSN(plain.database)), known: map[encoderKey][]byte{}}
	o := &oracle{side: s, twins: [2]twin{{plain, plain.postgres.DSN(plain.database)}, {cached, s.dsn()}}, encoder: encoder, states: map[string]bool{}}
	var hitting, others []*corpusScript
	for _, script := range readCorpus(t) {
		if script.hitsMin > 0 {
			hitting = append(hitting, script)
		} else {
			others = append(others, script)
		}
	}
	t.Run("hitting", func(t *testing.T) {
		// The other sidecar answers from Redis what the first has loaded. It ends with this subtest:
		// to follow the definitions that the scripts behind it make would be work for nothing.
		elsewhere := *cached
		elsewhere.t = t
		o.other = elsewhere.sidecar(unwatching, shared)
		for _, script := range hitting {
			t.Run(script.name, func(t *testing.T) { o.play(t, script) })
		}
		if hits := o.other.count(HitL2); hits < oracleSharedHitsMin {
			t.Errorf("%d hits of answers that the first sidecar loaded, want %d at least. So far: %s", hits, oracleSharedHitsMin, o.other.became())
		}
	})
	o.other = nil
	for _, script := range others {
		t.Run(script.name, func(t *testing.T) { o.play(t, script) })
	}
	t.Logf("%d statements, %d hits, %d SQLSTATEs", o.statements, s.count(HitL1), len(o.states))
	if o.statements < oracleStatementsMin || len(o.states) < oracleStatesMin {
		t.Errorf("the corpus has %d statements and meets %d SQLSTATEs, want %d and %d at least",
			o.statements, len(o.states), oracleStatementsMin, oracleStatesMin)
	}
}

// oracle plays scripts on both servers.
type oracle struct {
	side  *side
	twins [2]twin
	// other, unless nil, is a second sidecar before the server of side.
	other   *side
	encoder *binaryEncoder
	// statements counts the statements that were played, states has the SQLSTATEs of their errors
	// and notices.
	statements int
	states     map[string]bool
}

// play plays a script in each mode on both twins, and a second time if hits are expected or the mode
// says so, and compares the answers.
func (o *oracle) play(t *testing.T, script *corpusScript) {
	t.Helper()
	o.statements += len(script.statements)
	hits, part := uint64(0), 0
	var direct map[string][]answered // Postgres' answers in each mode, if the script only reads
	if script.reads {
		direct = map[string][]answered{}
	}
	for _, mode := range oracleModes {
		if mode.text {
			part++
		}
		for _, run := range []string{"first", "second"} {
			if run == "second" && script.hitsMin == 0 && !mode.again {
				continue
			}
			before := o.side.count(HitL1)
			play := playback{script: script, mode: mode, part: part, encoder: o.encoder}
			answers := playTwins(t, o.twins, play, direct)
			if run == "second" {
				hits += o.side.count(HitL1) - before
			}
			compareAnswers(t, play.mode.name+", "+run+" run", answers)
			for _, a := range answers[0] {
				noteStates(o.states, a.bytes)
			}
		}
	}
	t.Logf("%d statements, %d hits in the second runs", len(script.statements), hits)
	for _, mode := range oracleModes {
		if o.other != nil && mode.elsewhere {
			twins := [2]twin{o.twins[0], {o.twins[1].bed, o.other.dsn()}}
			answers := playTwins(t, twins, playback{script: script, mode: mode, encoder: o.encoder}, direct)
			compareAnswers(t, mode.name+", through the other sidecar", answers)
		}
	}
	if hits < script.hitsMin {
		t.Errorf("%d hits in the second runs, want %d at least. So far: %s", hits, script.hitsMin, o.side.became())
	}
}

// answered is what came back for one piece of a script.
type answered struct {
	statement string
	bytes     []byte
}

// playTwins plays one script on both servers at once. direct, unless nil, has Postgres' own answers
// by the name of the mode: where these are there the script is played through the sidecar only.
func playTwins(t *testing.T, twins [2]twin, play playback, direct map[string][]answered) (answers [2][]answered) {
	t.Helper()
	var both sync.WaitGroup
	var errs [2]error
	known := direct[play.mode.name]
	for i, twin := range twins {
		if i == 0 && known != nil {
			answers[i] = known
			continue
		}
		client := dialRaw(t, twin.dsn)
		both.Go(func() { answers[i], errs[i] = play.on(client) })
	}
	both.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("%s: %s: %v", play.mode.name, []string{"Postgres", "the sidecar"}[i], err)
		}
	}
	if direct != nil {
		direct[play.mode.name] = answers[0]
	}
	return answers
}

// compareAnswers requires that the sidecar, answers[1], has answered as Postgres, answers[0].
func compareAnswers(t *testing.T, when string, answers [2][]answered) {
	t.Helper()
	if len(answers[0]) != len(answers[1]) {
		t.Fatalf("%s: Postgres gave %d answers and the sidecar %d", when, len(answers[0]), len(answers[1]))
	}
	for i, want := range answers[0] {
		if got := answers[1][i]; !bytes.Equal(want.bytes, got.bytes) {
			t.Errorf("%s:\n%s\nPostgres says\n%s\nthe sidecar says\n%s", when, want.statement, show(want.bytes), show(got.bytes))
		}
	}
}

// noteStates collects the SQLSTATEs of errors and notices.
func noteStates(states map[string]bool, answer []byte) {
	for kind, message := range protocol.Messages(answer) {
		if kind != 'E' && kind != 'N' {
			continue
		}
		for body := message[protocol.HeaderLength:]; len(body) > 1; {
			text, rest, ok := protocol.CutString(body[1:])
			if !ok {
				break
			}
			if body[0] == 'C' {
				states[string(text)] = true
			}
			body = rest
		}
	}
}
