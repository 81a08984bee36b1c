package invalidation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
	"github.com/freshet/freshet/invalidation/connection"
)

const (
	// standbyPollUsed and standbyPollIdle are the times between two questions to a
	// standby: the first for standbyUsedFor after somebody asked for a label.
	standbyPollUsed = 5 * time.Millisecond
	standbyPollIdle = 200 * time.Millisecond
	standbyUsedFor  = time.Second
)

// StandbyOptions configure a Standby.
type StandbyOptions struct {
	// ConnConfig leads to one standby, and to the same one as the connections on
	// which loads are made: not to a balancer before several. Any role will do that
	// may read freshet.incarnation_logged. One connection is used. Required.
	ConnConfig *pgx.ConnConfig
	// BeforeConnect, unless nil, is called before it is opened, as a Follower's.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error
	// Follower follows the standby's primary. Required.
	Follower *Follower
	// OnReload, unless nil, is called when the standby has loaded its configuration
	// again, and once more when all its processes have. It must be quick.
	OnReload func()
	// Logger is told of connections and problems. nil means nobody is.
	Logger *slog.Logger
}

// Standby vouches for loads on one hot standby. It asks the standby how much of
// the log it has replayed, whether it still is a standby, and whether it is one
// of the incarnation that is followed. A standby never replays backwards, so a
// load that begins after the answer, on any connection to the same server, sees
// all of it.
//
// What a load shows is known from below only: a standby can show a commit that
// the primary does not show yet. So its label says Replica, and no session is
// served with it that wants more than bounded staleness.
//
// Its methods may be called concurrently.
type Standby struct {
	config        *pgx.ConnConfig
	beforeConnect connection.BeforeFunc
	follower      *Follower
	onReload      func()
	logger        *slog.Logger

	wake chan struct{} // holds one element if somebody waits for an answer
	// vouched is what the last question was answered with, nil while nothing can be
	// vouched for.
	vouched atomic.Pointer[vouched]
	usedAt  atomic.Int64

	mu sync.Mutex
	// next is closed at the next answer or failure. failure is why there is none
	// now, nil after an answer.
	next    chan struct{}
	failure error
}

// vouched is one answer of a standby of the incarnation that is followed.
type vouched struct {
	server   string // names one life of one server
	token    string
	position uint64
	began    fence.Instant // of the question
	// since is when the first of an unbroken row of such answers of the same server
	// was asked for.
	since fence.Instant
}

// NewStandby returns a standby that is vouched for only while Run runs.
func NewStandby(o StandbyOptions) (*Standby, error) {
	if o.ConnConfig == nil || o.Follower == nil {
		return nil, errors.New("make a standby: ConnConfig and Follower are required")
	}
	for _, other := range o.ConnConfig.Fallbacks {
		if other.Host != o.ConnConfig.Host || other.Port != o.ConnConfig.Port {
			return nil, errors.New("make a standby: the connection string names several hosts; name the one standby that loads go to")
		}
	}
	s := &Standby{
		config: o.ConnConfig.Copy(), beforeConnect: o.BeforeConnect, follower: o.Follower, onReload: o.OnReload, logger: o.Logger,
		wake: make(chan struct{}, 1), next: make(chan struct{}), failure: errNotRunning,
	}
	if s.onReload == nil {
		s.onReload = func() {}
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// Begin returns the label of a load that begins now on the standby: it must be
// called before the load's query is sent. It reports false if nothing can be
// vouched for, or the standby is too far behind; load from the primary then.
// What was loaded may be used as an answer only if Confirm says so.
func (s *Standby) Begin() (fence.Label, bool) {
	s.usedAt.Store(int64(fence.Now()))
	v := s.vouched.Load()
	if v == nil {
		return fence.Label{}, false
	}
	head, token := s.follower.heads.at(v.position)
	if head == nil || token != v.token {
		return fence.Label{}, false
	}
	label := fence.LabelAt(head)
	label.Replica = true
	return label, true
}

// Confirm returns nil once it is certain that from began, when Begin had
// returned its label, to ended, when the load had ended, the server was one and
// the same standby of the label's incarnation:
//
//  1. a load gets its label;
//  2. the standby is promoted, and others write to it;
//  3. the load's query shows what they wrote, which the database that is followed
//     never held.
//
// So a question that begins after the load must find a standby still. Forced by
// TestPromotedStandbyIsNotVouchedFor.
func (s *Standby) Confirm(ctx context.Context, label fence.Label, began, ended fence.Instant) error {
	for {
		next, failure := s.awaited()
		if v := s.vouched.Load(); v != nil && v.began >= ended {
			head, token := s.follower.heads.at(v.position)
			if v.since > began || head == nil || head.Incarnation != label.Incarnation || token != v.token {
				return errors.New("confirm a load on the standby: it is not the standby any more that it was")
			}
			return nil
		}
		if failure != nil {
			return fmt.Errorf("confirm a load on the standby: %w", failure)
		}
		select {
		case s.wake <- struct{}{}:
		default: // somebody asked already
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("confirm a load on the standby: %w", ctx.Err())
		}
	}
}

// awaited returns what is closed at the next answer, and why there is none now.
func (s *Standby) awaited() (next <-chan struct{}, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next, s.failure
}

// answered publishes an answer, or that there is none for a reason.
func (s *Standby) answered(v *vouched, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vouched.Store(v)
	s.failure = failure
	close(s.next)
	s.next = make(chan struct{})
}

// Serves reports whether the server that calls itself server (StandbyServerSQL)
// is the standby that is vouched for at this moment.
func (s *Standby) Serves(server string) bool {
	v := s.vouched.Load()
	return v != nil && v.server == server && v.token == s.follower.heads.current()
}

// Run asks the standby until ctx ends, and returns nil then. It connects again
// after every failure. It may be called once.
func (s *Standby) Run(ctx context.Context) error {
	pause := reconnectPauseMin
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			break
		}
		s.answered(nil, err)
		s.logger.Warn("the standby is not used until it can be vouched for", "error", err)
		if time.Since(began) >= reconnectPauseMax {
			pause = reconnectPauseMin
		}
		wait := pause/2 + rand.N(pause/2+1)
		if errors.Is(err, errReloaded) {
			s.onReload()
			wait = settleWait
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		pause = min(2*pause, reconnectPauseMax)
	}
	s.answered(nil, errNotRunning)
	return nil
}

// errReloaded says that some processes of the standby may not have heard yet of a
// new configuration.
var errReloaded = errors.New("its configuration was loaded again a moment ago")

// StandbyServerSQL is an expression that any role may evaluate and that names one
// life of one server. Two standbys of one primary started within the same
// microsecond would be taken for one.
const StandbyServerSQL = `(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8::pg_catalog.text`

const standbyName = "freshet_standby"

// standbySQL asks everything in one statement. The position is read after the
// token's snapshot was taken, and both only ever move forward.
const standbySQL = `SELECT ` + StandbyServerSQL + `, pg_is_in_recovery(),
	(SELECT token FROM freshet.incarnation_logged),
	(pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::int8,
	(EXTRACT(epoch FROM pg_conf_load_time()) * 1000000)::int8`

// session asks on one connection until something fails.
func (s *Standby) session(ctx context.Context) error {
	connectCtx, cancel := context.WithTimeout(ctx, connectWaitMax)
	defer cancel()
	conn, err := connect(connectCtx, s.config, s.beforeConnect)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if _, err := conn.Prepare(connectCtx, standbyName, standbySQL); err != nil {
		return fmt.Errorf("ask the standby: %w", explainMissing(err, conn.Config().User))
	}
	// What was loaded while there was no connection, nobody saw.
	s.onReload()
	p := &standbyPoll{s: s, conn: conn}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := p.ask(ctx); err != nil {
			return fmt.Errorf("ask the standby: %w", err)
		}
		pause := standbyPollIdle
		if fence.Now().Sub(fence.Instant(s.usedAt.Load())) < standbyUsedFor {
			pause = standbyPollUsed
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// standbyPoll is one connection's row of questions.
type standbyPoll struct {
	s    *Standby
	conn *pgx.Conn
	// settingsLoaded is when the connection's process loaded the configuration, 0
	// before the first answer.
	settingsLoaded int64
}

// ask asks once and publishes the answer.
func (p *standbyPoll) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementWaitMax+time.Second)
	defer cancel()
	v := &vouched{began: fence.Now()}
	v.since = v.began
	var standby bool
	var token *string
	var position *int64
	var loaded int64
	if err := p.conn.QueryRow(ctx, standbyName).Scan(&v.server, &standby, &token, &position, &loaded); err != nil {
		return explainMissing(err, p.conn.Config().User)
	}
	reloaded := p.settingsLoaded != 0 && p.settingsLoaded != loaded
	p.settingsLoaded = loaded
	switch {
	case !standby || position == nil:
		return errors.New("the server is not a standby (any more)")
	case token == nil || *token != p.s.follower.heads.current():
		return errors.New("it does not follow the server that is followed, or has not replayed its last start yet")
	case reloaded:
		return errReloaded
	}
	v.token, v.position = *token, uint64(*position)
	if last := p.s.vouched.Load(); last != nil && last.server == v.server && last.token == v.token {
		v.since = last.since
	}
	p.s.answered(v, nil)
	return nil
}
