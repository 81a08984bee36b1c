package check

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"
)

// redisScripts are about what Redis gives back that it was not given.
var redisScripts = []Script{
	{Name: "Redis gives one row for another", bound: longBound, sidecars: 2, play: exchangeInRedis},
	{Name: "Redis gives other bytes", bound: longBound, sidecars: 2, play: forgeInRedis},
}

// exchangeInRedis has Redis hold the answer to one read under the key of another.
func exchangeInRedis(st *stage) {
	written, reader := st.fillRedis(), st.session(1, levelBounded)
	st.changeRedis(func(all map[string]string) {
		for i := 0; i+1 < len(written); i += 2 {
			one, other := holdersOf(all, written[i].mark), holdersOf(all, written[i+1].mark)
			for j := range min(len(one), len(other)) {
				all[one[j]], all[other[j]] = all[other[j]], all[one[j]]
			}
		}
	})
	for _, r := range written {
		st.read(reader, r.key)
	}
}

// forgeInRedis has Redis hold answers with other marks in them, which nothing else
// shows to be others.
func forgeInRedis(st *stage) {
	written, reader := st.fillRedis(), st.session(1, levelBounded)
	st.changeRedis(func(all map[string]string) {
		for name, value := range all {
			for _, r := range written {
				value = forge(value, r.mark, r.mark+1<<20)
			}
			all[name] = value
		}
	})
	for _, r := range written {
		st.read(reader, r.key)
	}
}

// fillRedis writes rows, and reads them through the first sidecar until Redis has
// the answers.
func (st *stage) fillRedis() (written []reading) {
	writer, scout := st.direct(), st.session(0, levelSession)
	for _, k := range rows(4) {
		var last []reading
		st.untilInRedis(func() int64 {
			last = st.write(writer, k)
			st.cached(scout, k)
			if len(last) == 0 {
				return 0 // the play has failed
			}
			return last[0].mark
		})
		written = append(written, last...)
	}
	return written
}

// inRedisWait is how long an answer may take to Redis before another one is loaded: on a
// busy machine a load may be overtaken by the write before it, and is never published then.
const inRedisWait = 2 * time.Second

// untilInRedis has an answer loaded until Redis holds it. load returns the mark in it.
func (st *stage) untilInRedis(load func() (mark int64)) {
	for end := time.Now().Add(untilMax); st.going(); {
		before := st.inRedis()
		mark := load()
		for late := time.Now().Add(inRedisWait); st.going() && time.Now().Before(late); pause(st.ctx, untilPause) {
			if now := st.inRedis(); len(holdersOf(now, mark)) > len(holdersOf(before, mark)) {
				return
			}
		}
		if time.Now().After(end) {
			st.fail(errors.New("an answer is never in Redis"))
		}
	}
}

// inRedis is all that Redis holds, nothing while it cannot be asked.
func (st *stage) inRedis() (all map[string]string) {
	err := st.withRedis(func(r *redisConn) (err error) {
		all, err = r.dump()
		return err
	})
	if err != nil {
		return nil
	}
	return all
}

// changeRedis changes what Redis holds.
func (st *stage) changeRedis(change func(all map[string]string)) {
	st.try(func() error {
		return st.withRedis(func(r *redisConn) error {
			all, err := r.dump()
			if err != nil {
				return err
			}
			change(all)
			return r.setAll(all)
		})
	})
}

// formsOf are the bytes in which PostgreSQL writes a mark, as text and in binary.
func formsOf(mark int64) [2]string {
	return [2]string{strconv.FormatInt(mark, 10), string(binary.BigEndian.AppendUint64(nil, uint64(mark)))}
}

// holdersOf are the keys of values that hold a mark.
func holdersOf(all map[string]string, mark int64) (names []string) {
	for name, value := range all {
		for _, form := range formsOf(mark) {
			if strings.Contains(value, form) {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// forge replaces a mark by another one.
func forge(value string, mark, other int64) string {
	to := formsOf(other)
	for i, form := range formsOf(mark) {
		value = strings.ReplaceAll(value, form, to[i])
	}
	return value
}
