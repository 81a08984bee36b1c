package fleet

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// Member is what a sidecar says of itself. All of it is for people: another sidecar's is
// only as true as Redis.
type Member struct {
	// ID is a name of the process that no other has.
	ID string `json:"id"`
	// Self is set for the sidecar that was asked.
	Self bool `json:"self"`
	// Host and Socket are where clients find it, Page is the address of its page, empty if
	// it has none.
	Host    string `json:"host"`
	Socket  string `json:"socket"`
	Page    string `json:"page"`
	Version string `json:"version"`
	// Incarnation names the life of the database that it follows, empty before its first
	// look.
	Incarnation string `json:"incarnation"`
	// NotReady is why it is not ready, empty if it is.
	NotReady      string  `json:"not_ready"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	Sessions      int64   `json:"sessions"`
	// StalenessSeconds is its promise, FollowerAgeSeconds how old what it knows is; null
	// before its first look.
	StalenessSeconds   float64  `json:"staleness_seconds"`
	FollowerAgeSeconds *float64 `json:"follower_age_seconds"`
	// HitRatio is the share of hits among the reads of the last minute, null if there was
	// none. Of the same minute are the queries and the seconds of Postgres' time saved, for
	// each second.
	HitRatio         *float64 `json:"hit_ratio"`
	QueriesPerSecond float64  `json:"queries_per_second"`
	SavedPerSecond   float64  `json:"saved_per_second"`
}

// Counts are what a sidecar has counted since its start.
type Counts struct {
	Hits, Reads, Queries uint64
	SavedSeconds         float64
}

// counted are Counts at one moment.
type counted struct {
	Counts
	at time.Time
}

// describe is how this sidecar is, with the rates of the last minute.
func (f *Fleet) describe() Member {
	self, counts := f.options.DescribeFunc()
	now := counted{counts, time.Now()}
	f.counted = append(f.counted, now)
	if len(f.counted) > window+1 {
		f.counted = f.counted[1:]
	}
	self.ID, self.Self = f.id, false
	before := f.counted[0]
	if elapsed := now.at.Sub(before.at).Seconds(); elapsed > 0 {
		self.QueriesPerSecond = float64(now.Queries-before.Queries) / elapsed
		self.SavedPerSecond = (now.SavedSeconds - before.SavedSeconds) / elapsed
	}
	if reads := now.Reads - before.Reads; reads > 0 {
		ratio := float64(now.Hits-before.Hits) / float64(reads)
		self.HitRatio = &ratio
	}
	return *self.bounded()
}

const (
	textMax   = 108 // the length of the longest path of a socket
	numberMax = 1e12
)

// parse reads what lies in a place, nil if that is nothing that a sidecar has said.
func parse(value []byte) *Member {
	var m Member
	if len(value) == 0 || json.Unmarshal(value, &m) != nil || m.ID == "" {
		return nil
	}
	m.Self = false
	return m.bounded()
}

// bounded cuts texts, and puts numbers into the bounds that they can have.
func (m *Member) bounded() *Member {
	for _, text := range []*string{&m.ID, &m.Host, &m.Socket, &m.Page, &m.Version, &m.Incarnation, &m.NotReady} {
		*text = printable(*text)
	}
	for _, number := range []*float64{&m.UptimeSeconds, &m.StalenessSeconds, m.FollowerAgeSeconds, &m.QueriesPerSecond, &m.SavedPerSecond} {
		if number != nil {
			*number = min(max(*number, 0), numberMax)
		}
	}
	m.Sessions = min(max(m.Sessions, 0), numberMax)
	if m.HitRatio != nil {
		*m.HitRatio = min(max(*m.HitRatio, 0), 1)
	}
	return m
}

// printable drops what a terminal would act upon, and cuts the rest.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
	for len(text) > textMax {
		text = text[:textMax]
		text = strings.ToValidUTF8(text, "")
	}
	return text
}
