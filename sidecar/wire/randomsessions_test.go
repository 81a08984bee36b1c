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

// randomScript has the sessions play scenes, each its own, in between one another. Tables
// change while no session is in a block, in which it may have locked them.
func randomScript(s *scenery) (turns []turn) {
	var left [randomSessions][]turn
	for session := range left {
		turns = append(turns, s.opening(session)...)
	}
	blocks := 0
	var analysed [randomSessions]bool // since the session changed the setting last
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

// usesOfAll are uses of all that a session has prepared. Where nobody uses a statement between
// an ANALYZE and a change of a setting, Postgres reads the constants by the setting of the use
// before, or of the one behind: it depends on whether it heard of the former (see unseen.go).
func usesOfAll(session int) []turn {
	return []turn{{session: session, step: used("")}, {session: session, step: used("p")}}
}

// blocksOpened is 1 for what begins a block, and -1 for what ends one.
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

// Whatever two sessions prepare, describe, set and use in whatever
// order, while tables change under them, they are told what Postgres tells.
func TestRandomSessionsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	if playedPlain(t) {
		return
	}
	playRandom(t, *randomScripts, scenes)
}

// So they are when their portals have names and limits, and when they do not wait for answers.
func TestRandomSessionsWithPortalsAreAnsweredAsPostgresDoes(t *testing.T) {
	t.Parallel()
	playRandom(t, *randomScripts/2, portalScenes)
}

// playRandom plays random scripts of scenes, through a sidecar that keeps everything warm.
func playRandom(t *testing.T, scripts int, scenes []scene) {
	cached := newTestbed(t, scenesSchema)
	cached.warmFrom = time.Nanosecond
	w := twinsOf(t, newTestbed(t, scenesSchema), cached)
	for i := range scripts {
		seed := *randomSeed + uint64(i)
		r := rand.New(rand.NewPCG(seed, 0))
		s := &scenery{random: r, mark: fmt.Sprintf(" /* script %d */", i), constant: constants[r.IntN(len(constants))], scenes: scenes}
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { w.play(t, randomScript(s)) }) {
			return // what follows would be about this one, too
		}
	}
	hits := w.side.count(HitL1)
	warmed := w.side.counters.Warmed.Load()
	t.Logf("%d statements were hits; %d loads nobody had asked for", hits, warmed)
	if hits < uint64(scripts) {
		t.Errorf("only %d statements were hits: this test shows little", hits)
	}
}
