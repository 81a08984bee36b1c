package check

import (
	"encoding/binary"
	"strconv"
	"strings"
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
func (st *stage) fillRedis() []reading {
	written, scout := st.write(st.direct(), rows(4)...), st.session(0, levelSession)
	for _, r := range written {
		st.cached(scout, r.key)
		st.awaitInRedis(r.mark)
	}
	return written
}

// awaitInRedis waits until Redis holds an answer with a mark in it.
func (st *stage) awaitInRedis(mark int64) {
	st.try(func() error {
		return until(st.ctx, "an answer to be in Redis", func() bool {
			found := false
			err := st.withRedis(func(r *redisConn) error {
				all, err := r.dump()
				found = len(holdersOf(all, mark)) > 0
				return err
			})
			return err == nil && found
		})
	})
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
