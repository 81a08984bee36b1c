package wire

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	randomScripts = flag.Int("random-scripts", 20, "how many random scripts of several sessions are played")
	randomSeed    = flag.Uint64("random-seed", 1, "the seed of random scripts")
)

const (
	randomTurns    = 160
	randomSessions = 2
)

// randomScript interleaves random scenes of the sessions. Tables change only while no session is
// in a block: a block may hold locks on them, and the change would wait for ever.
func randomScript(s *scenery) (turns []turn) {
	var left [randomSessions][]turn // of the scene that each session plays
	for session := range left {
		turns = append(turns, s.opening(session)...)
	}
	blocks := 0
	var analysed [randomSessions]bool // whether the table was analysed since the session last changed the setting
	for len(turns) < randomTurns || blocks > 0 {
		session := s.random.IntN(randomSessions)
		if len(left[session]) == 0 {
			left[session] = s.scene()
		}
		next := left[session][0]
		if blocks > 0 && next.direct != "" {
			continue
		}
		next.session = (next.session + session) % randomSessions
		if next.direct == analyseReadSQL {
			analysed = [randomSessions]bool{true, true}
		} else if analysed[next.session] && s.setsConstants(next.step) {
			turns = append(turns, usesOfAll(next.session)...)
			analysed[next.session] = false
		}
		turns, left[session] = append(turns, next), left[session][1:]
		blocks += blocksOpened(next.send)
	}
	for session := range randomSessions {
		turns = append(turns, s.written(session)...)
	}
	return turns
}

// setsConstants reports whether a step may change the setting that constants are read by.
func (s *scenery) setsConstants(of step) bool {
	return slices.ContainsFunc([]string{"\x00one\x00", "\x00other\x00", s.constant.setting}, func(how string) bool {
		return bytes.Contains(of.send, []byte(how))
	})
}

// usesOfAll executes each statement that a session has prepared. Without such a use between an
// ANALYZE and a change of the setting, Postgres may read the constants by the setting of the last
// use, or by that of the next one, depending on whether it was shown the last use (see unseen.go).
// The sidecar and Postgres would be allowed to differ.
func usesOfAll(session int) []turn {
	return []turn{{session: session, step: used("")}, {session: session, step: used("p")}}
}

// blocksOpened is 1 for a Query that begins a block, -1 for one that ends it, and 0 otherwise.
func blocksOpened(send []byte) int {
	switch string(send) {
	case string(msgQuery("BEGIN")):
		return 1
	case string(msgQuery("COMMIT")), string(msgQuery("ROLLBACK")):
		return -1
	default:
		return 0
	}
}

// Two sessions prepare, describe, set and use statements in random orders, while tables change:
// the sidecar answers each message with the same bytes as Postgres.
func TestRandomSessionsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	playRandom(t, *randomScripts, scenes)
}

// The same with portals that have names and row limits, and with sessions that send without
// waiting for answers.
func TestRandomSessionsWithPortalsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	playRandom(t, *randomScripts/2, portalScenes)
}

// playRandom plays random scripts of the scenes, through a sidecar that loads again each answer
// that was read twice and that a change has ended (Options.WarmFrom).
func playRandom(t *testing.T, scripts int, scenes []scene) {
	cached := newTestbed(t, scenesSchema)
	cached.warmFrom = time.Nanosecond
	w := twinsOf(t, newTestbed(t, scenesSchema), cached)
	for i := range scripts {
		seed := *randomSeed + uint64(i)
		r := rand.New(rand.NewPCG(seed, 0))
		s := &scenery{random: r, mark: fmt.Sprintf(" /* script %d */", i), constant: constants[r.IntN(len(constants))], scenes: scenes}
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { w.play(t, randomScript(s)) }) {
			return // the failed script has left sessions and tables in a state that would fail the next ones too
		}
	}
	hits := w.side.count(HitL1)
	warmed := w.side.counters.Warmed.Load()
	t.Logf("%d statements were hits; %d loads were made that no client had asked for", hits, warmed)
	if hits < uint64(scripts) {
		t.Errorf("%d statements were hits, want at least %d: this test shows little", hits, scripts)
	}
}
