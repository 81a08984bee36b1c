package engine

import (
	"hash/crc32"
	"sync/atomic"
	"time"
)

// RemotePolicy says for which loads the remote tier is asked first, and given what they
// brought.
type RemotePolicy string

const (
	// RemoteWhereItPays asks for a shape of loads where that is expected to be faster
	// than to load; and always where loads take so long that all processes share them
	// (Options.LeaseMin).
	RemoteWhereItPays RemotePolicy = "auto"
	// RemoteAlways asks for everything, and has all processes share every load: the
	// database is spared at any price.
	RemoteAlways RemotePolicy = "always"
	// RemoteNever asks for nothing.
	RemoteNever RemotePolicy = "never"
)

// To ask the remote tier takes its time whether or not it has the entry, and to fill it
// takes some more. Where a load takes hardly longer, and the tier seldom has what it is
// asked for, all that is lost. So for each shape what a load takes, what a question
// takes, and how often there is an answer are measured, and go on being measured by a
// sample: one key of sampleOf is asked for and given in any case. All processes take the
// same keys at about the same time, or a process would ask for keys that no other has
// given. What is found of the sample is what would be found of all, if all processes
// asked for and gave all.
const (
	// shapesMax is how many shapes are remembered, a power of two. Shapes that share a
	// place are judged together, which costs speed only.
	shapesMax = 1 << 12
	// worthLearned is how many questions come before the first judgement: until then
	// everything is asked for.
	worthLearned = 32
	// One key of sampleOf is of the sample, other keys each sampleTurn.
	sampleOf   = 64
	sampleTurn = time.Minute
	// A judgement is changed by a gain or a loss of more than the price through
	// worthMargin, so that it does not waver.
	worthMargin = 8
	// certain is a share of one, as a whole number.
	certain = 1 << 16
	// averageOver is how many of the latest measurements an average is of.
	averageOver = 16
)

// average is a moving average of numbers above 0, which is 0 before the first. Notes that
// come together may lose one.
type average struct{ of atomic.Int64 }

// note counts n for an averageOver-th, or as one of so few as there are.
func (a *average) note(n, count int64) {
	old := a.of.Load()
	a.of.Store(max(old+(n-old)/min(max(count, 1), averageOver), 1))
}

func (a *average) get() int64 { return a.of.Load() }

// worth is what is known of one shape.
type worth struct {
	load, ask, found average
	loads, asked     atomic.Int64
	// idle is set where the tier is asked for the sample only.
	idle atomic.Bool
}

// worths are what is known of all shapes.
type worths struct {
	of [shapesMax]worth
	// fill is what it takes to give one entry.
	fill  average
	fills atomic.Int64
}

func (w *worths) at(shape uint64) *worth { return &w.of[shape%shapesMax] }

// AsksRemote reports whether the remote tier is asked for a key of a shape before it is
// loaded, and given what the load brings.
func (c *Cache) AsksRemote(shape uint64, key []byte) bool {
	switch {
	case c.options.Remote == nil || c.options.RemotePolicy == RemoteNever:
		return false
	case c.options.RemotePolicy == RemoteAlways:
		return true
	}
	return c.long(shape) || !c.worths.at(shape).idle.Load() || c.sampled(key)
}

// long reports whether loads of a shape are made for all processes together: these come
// to know of one another by the remote tier alone, and next to the load the question
// takes nothing.
func (c *Cache) long(shape uint64) bool { return c.loadTimes.expect(shape) >= c.options.LeaseMin }

var sampleTable = crc32.MakeTable(crc32.Castagnoli)

// sampled reports whether a key is of the sample now, which all processes take.
func (c *Cache) sampled(key []byte) bool {
	turn := c.wall().UnixNano() / int64(sampleTurn)
	return (int64(crc32.Checksum(key, sampleTable))+turn)%sampleOf == 0
}

// noteAsked notes that the tier was asked for a key of a shape, how long that took, and
// whether it had an entry.
func (c *Cache) noteAsked(shape uint64, key []byte, took time.Duration, found bool) {
	w := c.worths.at(shape)
	asked := w.asked.Load()
	if asked >= worthLearned && !c.sampled(key) {
		w.ask.note(int64(took), asked)
		return
	}
	share := int64(0)
	if found {
		share = certain
	}
	asked = w.asked.Add(1)
	w.ask.note(int64(took), asked)
	w.found.note(share, asked)
	c.judge(w)
}

// noteLoad notes how long a load of a shape took.
func (c *Cache) noteLoad(shape uint64, took time.Duration) {
	if c.options.Remote == nil {
		return
	}
	w := c.worths.at(shape)
	w.load.note(int64(took), w.loads.Add(1))
	c.judge(w)
}

// noteFilled notes how long it took to give n entries.
func (c *Cache) noteFilled(n int, took time.Duration) {
	c.worths.fill.note(int64(took)/int64(n), c.worths.fills.Add(1))
}

// judge decides whether to go on asking.
func (c *Cache) judge(w *worth) {
	gain, price := w.gain(c.worths.fill.get())
	idle := w.idle.Load()
	switch {
	case w.asked.Load() < worthLearned || w.loads.Load() == 0:
		idle = false
	case gain > price/worthMargin:
		idle = false
	case gain < -price/worthMargin:
		idle = true
	}
	if idle != w.idle.Load() {
		w.idle.Store(idle)
	}
}

// gain is how much sooner an answer is expected if the tier is asked and filled, and
// price what that takes.
func (w *worth) gain(fill int64) (gain, price int64) {
	found := w.found.get()
	price = w.ask.get() + fill*(certain-found)/certain
	return found*w.load.get()/certain - price, price
}

// RemoteUse says what is known of a shape, and what the remote tier is used for because
// of that.
type RemoteUse struct {
	// Load, Ask and Fill are what it takes on average to load, to ask the remote tier,
	// and to give it an entry. 0: that is not known yet.
	Load, Ask, Fill time.Duration
	// Found is the share of questions that brought an entry.
	Found float64
	// Asked and Loads count the questions that Found is of, and the loads.
	Asked, Loads uint64
	// Used is set where the tier is asked for every key, and not for a sample alone; Why
	// says what decides that.
	Used bool
	Why  string
}

// Why the remote tier is asked for every key of a shape, or for a sample alone.
const (
	WhyForced   = "forced"    // the policy says so
	WhyLearning = "learning"  // too little is known
	WhyLong     = "long_load" // loads are long enough to be shared by all processes
	WhyPays     = "pays"      // it is faster
	WhyNoGain   = "no_gain"   // it is not
)

// RemoteUse returns what is known of a shape.
func (c *Cache) RemoteUse(shape uint64) RemoteUse {
	w := c.worths.at(shape)
	u := RemoteUse{
		Load: time.Duration(w.load.get()), Ask: time.Duration(w.ask.get()), Fill: time.Duration(c.worths.fill.get()),
		Found: float64(w.found.get()) / certain, Asked: uint64(w.asked.Load()), Loads: uint64(w.loads.Load()),
		Used: !w.idle.Load(),
	}
	switch {
	case c.options.RemotePolicy != RemoteWhereItPays:
		u.Why, u.Used = WhyForced, c.options.RemotePolicy == RemoteAlways
	case u.Asked < worthLearned || u.Loads == 0:
		u.Why = WhyLearning
	case c.long(shape):
		u.Why, u.Used = WhyLong, true
	case u.Used:
		u.Why = WhyPays
	default:
		u.Why = WhyNoGain
	}
	return u
}
