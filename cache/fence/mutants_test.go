package fence

import (
	"slices"
	"testing"
)

// TestMutants breaks one rule of the protocol at a time, in how the simulation
// drives the fence, and requires that the simulation notices. A mutant that
// survives means that the simulation proves nothing about that rule.
func TestMutants(t *testing.T) {
	t.Parallel()
	seedsMax := 2 * simulationSeeds
	for _, mutant := range []struct {
		name    string
		broken  deviations
		noticed []string // kinds of violation, any of which reveals the mutant
	}{
		{"label taken after the load", deviations{labelAfterLoad: true}, []string{kindStale}},
		{"upper bound before the load ended", deviations{upperTooEarly: true}, []string{kindSession}},
		{"trim gap unnoticed", deviations{gapUnnoticed: true}, []string{kindStale}},
		{"no floor after a trim gap", deviations{gapWithoutFloor: true}, []string{kindStale}},
		{"no floor at the start", deviations{startWithoutFloor: true}, []string{kindStale}},
		{"no incarnation", deviations{incarnationIgnored: true}, []string{kindStale}},
		{"capture from a server not proven to be the same", deviations{serverUnproven: true}, []string{kindIncarnation}},
		{"rows by id > last", deviations{rowsByID: true}, []string{kindStale}},
		{"running transactions not asked for", deviations{runningIgnored: true}, []string{kindStale}},
		{"events dropped", deviations{eventsDropped: true}, []string{kindStale}},
		{"clock before events", deviations{clockFirst: true}, []string{kindStale}},
		{"session need ignored", deviations{needIgnored: true}, []string{kindSession}},
		{"own writes not noted", deviations{writesUnnoted: true}, []string{kindSession}},
		{"who rests vouches on", deviations{restVouches: true}, []string{kindStale}},
		{"what was shown not noted", deviations{shownUnnoted: true}, []string{kindSession}},
		{"hints prove freshness", deviations{hintIsProof: true}, []string{kindStale}},
		{"hints move the head", deviations{hintIsHead: true}, []string{kindStale, kindSession}},
	} {
		t.Run(mutant.name, func(t *testing.T) {
			other := 0
			for seed := range uint64(seedsMax) {
				v := newSimulation(seed, mutant.broken).run(simulationSteps)
				switch {
				case v == nil:
				case slices.Contains(mutant.noticed, v.kind):
					t.Logf("seed %d: %s: %s", seed, v.kind, v.text)
					return
				default:
					other++
				}
			}
			t.Errorf("not noticed in %d seeds (%d violations of other kinds)", seedsMax, other)
		})
	}
}
