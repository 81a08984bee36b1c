package wire

import (
	"flag"
	"fmt"
	"math/rand/v2"
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
		turns, left[session] = append(turns, next), left[session][1:]
		blocks += blocksOpened(next.send)
	}
	for session := range randomSessions {
		turns = append(turns, s.written(session)...)
	}
	return turns
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
