package check

import (
	"context"
	"math/rand/v2"
	"time"
)

// anySidecar draws one.
func (w *world) anySidecar(random *rand.Rand) *sidecar {
	return w.fleet.sidecars[random.IntN(len(w.fleet.sidecars))]
}

// killSidecar kills a sidecar and starts it again.
func killSidecar(ctx context.Context, w *world, random *rand.Rand) error {
	s := w.anySidecar(random)
	s.kill()
	pause(ctx, between(random, 0, 300*time.Millisecond))
	return s.start()
}

// restartSidecar ends a sidecar politely and starts it again.
func restartSidecar(ctx context.Context, w *world, random *rand.Rand) error {
	s := w.anySidecar(random)
	s.stop()
	pause(ctx, between(random, 0, 100*time.Millisecond))
	return s.start()
}

// freezeSidecar stops a sidecar's process for up to three seconds, shortly
// more often than long.
func freezeSidecar(ctx context.Context, w *world, random *rand.Rand) error {
	s := w.anySidecar(random)
	for _, most := range []time.Duration{300 * time.Millisecond, 800 * time.Millisecond, 3 * time.Second} {
		s.freeze()
		pause(ctx, between(random, 100*time.Millisecond, most))
		s.thaw()
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}

// cutFollowers ends the connections with which sidecars follow, on the server.
func cutFollowers(ctx context.Context, w *world, random *rand.Rand) error {
	for range 3 {
		if err := w.terminate(ctx, "application_name = '"+followerName+"'"); err != nil {
			return err
		}
		pause(ctx, between(random, 50*time.Millisecond, 400*time.Millisecond))
	}
	return nil
}

// terminate ends backends of the database that a condition holds for.
func (w *world) terminate(ctx context.Context, condition string) error {
	return execute(ctx, w.fleet.dsn(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid() AND "+condition)
}

// cutClients ends a third of the clients' connections on the server, and then a
// third of them at their own end.
func cutClients(ctx context.Context, w *world, random *rand.Rand) error {
	for range 2 {
		if err := w.terminate(ctx, "application_name <> '"+followerName+"' AND random() < 0.3"); err != nil {
			return err
		}
		pause(ctx, between(random, 50*time.Millisecond, 300*time.Millisecond))
		w.clients.cut(0.3, random)
		pause(ctx, between(random, 50*time.Millisecond, 300*time.Millisecond))
	}
	return nil
}

// freezeFollowers holds the bytes of one sidecar's followers, then of all, for
// shorter and for longer than the bound.
func freezeFollowers(ctx context.Context, w *world, random *rand.Rand) error {
	bound := w.options.Bound
	one := w.fleet.links[random.IntN(len(w.fleet.links))]
	for _, l := range [][]*link{{one}, {one}, w.fleet.links} {
		freezeFor(ctx, l, followerClass, between(random, bound/5, bound*9/10))
		pause(ctx, 50*time.Millisecond)
	}
	freezeFor(ctx, []*link{one}, followerClass, between(random, bound, 3*bound))
	return nil
}

func freezeFor(ctx context.Context, links []*link, c class, d time.Duration) {
	holdFor(ctx, links, d, func(l *link) { l.freeze(c, bothWays, 1, nil) })
}

// holdFor disturbs links in one way, for a while.
func holdFor(ctx context.Context, links []*link, d time.Duration, disturb func(*link)) {
	for _, l := range links {
		disturb(l)
	}
	pause(ctx, d)
	for _, l := range links {
		l.thaw()
	}
}

// delayFollowers makes looks slow: what a look saw reaches the sidecar long after
// the look began, and meanwhile all others go on at full speed. One sidecar's
// looks take a part of the bound, then everybody's take more than the shorter
// bound that some readers set: what such a look proves is too old for them when it
// arrives. Each delay lasts for several looks, and no look in between is quick.
func delayFollowers(ctx context.Context, w *world, random *rand.Rand) error {
	bound := w.options.Bound
	shorter := bound * shorterShare / 100
	one := w.fleet.links[random.IntN(len(w.fleet.links))]
	delayFor(ctx, []*link{one}, between(random, bound/20, shorter))
	pause(ctx, 50*time.Millisecond)
	delayFor(ctx, w.fleet.links, between(random, shorter, bound*4/5))
	return nil
}

// delayedLooks is for how many looks, of which each takes as long as the delay, a
// delay lasts.
const delayedLooks = 5

func delayFor(ctx context.Context, links []*link, late time.Duration) {
	holdFor(ctx, links, delayedLooks*late, func(l *link) { l.delay(followerClass, late) })
}

// freezeLinks holds what the server answers to half of the clients behind a
// sidecar, so that loads stay under way while others write, and then all bytes
// of everybody.
func freezeLinks(ctx context.Context, w *world, random *rand.Rand) error {
	for range 10 {
		l := w.fleet.links[random.IntN(len(w.fleet.links))]
		l.freeze(clientClass, answers, 0.5, random)
		pause(ctx, between(random, 30*time.Millisecond, 200*time.Millisecond))
		l.thaw()
		pause(ctx, 50*time.Millisecond)
	}
	freezeFor(ctx, w.fleet.links, everyClass, between(random, 100*time.Millisecond, time.Second))
	return nil
}

// loseBytes swallows what a part of the connections behind a sidecar say, both
// ways, and then cuts them.
func loseBytes(ctx context.Context, w *world, random *rand.Rand) error {
	l := w.fleet.links[random.IntN(len(w.fleet.links))]
	l.swallow(everyClass, 0.5, random)
	pause(ctx, between(random, 200*time.Millisecond, time.Second))
	l.cutSwallowing()
	return nil
}

// pauseEverything stops all sidecars, Redis and every link at once, and lets
// them go on one after the other.
func pauseEverything(ctx context.Context, w *world, random *rand.Rand) error {
	for range 2 {
		for _, s := range w.fleet.sidecars {
			s.freeze()
		}
		for _, l := range w.fleet.links {
			l.freeze(everyClass, bothWays, 1, nil)
		}
		err := w.fleet.redis.Pause()
		pause(ctx, between(random, 100*time.Millisecond, 900*time.Millisecond))
		for _, i := range random.Perm(len(w.fleet.sidecars)) {
			w.fleet.sidecars[i].thaw()
			pause(ctx, between(random, 0, 50*time.Millisecond))
			w.fleet.links[i].thaw()
		}
		if resume := w.fleet.redis.Resume(); err == nil {
			err = resume
		}
		if err != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}
