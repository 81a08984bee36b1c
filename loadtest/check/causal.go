package check

import (
	"context"
	"strings"
	"time"
)

// causal hands tokens from one sidecar to the next, until ctx ends: a session on
// one writes and asks for a token, a session on another takes the token and must
// read what was written.
func (w *world) causal(ctx context.Context, writer, reader *session, pace time.Duration) {
	defer writer.close()
	defer reader.close()
	p := pacer{each: pace}
	for ctx.Err() == nil {
		if !writer.ready(ctx) || !reader.ready(ctx) {
			continue
		}
		p.wait(ctx)
		w.hold.RLock()
		written, token, ok := writer.writeWithToken()
		w.hold.RUnlock()
		if ok && reader.ready(ctx) {
			reader.readAfter(written, token)
		}
	}
}

// writeWithToken writes a row or a pair and returns what was written with a
// token taken after it.
func (s *session) writeWithToken() (written reading, token string, ok bool) {
	if s.conn == nil || s.world.epoch.Load() != s.epoch {
		return reading{}, "", false
	}
	k := key{row, s.hot(sharedRows)}
	written, err := s.write(k, writeRowSQL, s.world.marks.next(s.epoch))
	if err != nil {
		return reading{}, "", false
	}
	at := time.Now()
	if s.world.epoch.Load() != s.epoch {
		return reading{}, "", false
	}
	s.epoch.register(k).acknowledge(written.version, written.mark, at)
	s.world.tally.wrote()
	token, ok = s.token()
	return written, token, ok
}

// token asks for a token of everything up to now.
func (s *session) token() (token string, ok bool) {
	err := s.failedUnlessClosed(s.one("SHOW freshet.token", nil, &token))
	return token, err == nil
}

// takeToken demands of all reads to come what a token stands for.
func (s *session) takeToken(token string) bool {
	return s.exec("SET freshet.after = '"+strings.ReplaceAll(token, "'", "''")+"'") == nil
}

// readAfter reads with a token the row that was written.
func (s *session) readAfter(written reading, token string) {
	if s.takeToken(token) {
		s.readWritten(written)
	}
}

// readWritten reads a row that was written before the token was taken under which
// it is read.
func (s *session) readWritten(written reading) {
	q := s.ask(written.key)
	r := reading{key: written.key}
	sql, arguments := readRowSQL, []any{written.key.id}
	if s.one(sql, arguments, &r.version, &r.mark) != nil {
		return
	}
	v := s.answer(q, r)
	v.check(Causal, r.version >= written.version, "%v, the token was taken after %d was written", r, written.version)
	v.count()
}

// startCausal starts a hand-over from every sidecar to the next.
func (w *world) startCausal(ctx context.Context, start func(func())) {
	if w.options.Sidecars < 2 {
		return
	}
	const each = 20 * time.Millisecond
	for i := range w.options.Sidecars {
		number := firstCausal + 2*i
		l := levelSession
		if i%2 == 1 {
			l = levelBounded
		}
		writer := w.newSession("token", number, i, levelSession, protocol(number)%protocols)
		reader := w.newSession("after", number+1, (i+1)%w.options.Sidecars, l, protocol(number+1)%protocols)
		start(func() { w.causal(ctx, writer, reader, each) })
	}
}
