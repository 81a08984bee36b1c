// Package dashboard shows what one sidecar does: a live page for people, JSON
// for programs, metrics for Prometheus, and health for whoever starts and
// stops it.
//
//	/                 the page; self-contained, it fetches nothing from elsewhere
//	/api/v1/stats     Stats as JSON
//	/api/v1/snapshot  what the page begins with
//	/api/v1/stream    the same as server-sent events: once, and then what changes
//	/api/v1/history   ?range=15m, 2h or 24h: a value for each second, ten, or minute
//	/api/v1/tables    ?q=: all watched tables
//	/api/v1/mark      POST: shows beside the traffic that something happened
//	/api/v1/explain   POST, if there is a function for it; so is
//	/api/v1/purge     POST, and
//	/api/v1/reload    POST: reads the configuration again
//	/metrics          Prometheus
//	/livez            200 while the process answers
//	/readyz           200 while it serves clients and keeps up, else 503 and why; of
//	                  several databases one is enough, and ?database= asks for one
//	/databases/NAME/  all but /metrics and /livez of a further database
//
// It reads, and does what it is asked for, only through the functions it is given. Bound
// to a loopback address it answers only requests that name a loopback host, so that no
// web site can read it through a visitor's browser; what is asked for by POST has to bring
// a token that only this page has. Bound to another address it wants a token of
// everybody, but for probes.
//
// What it keeps is bounded: a day of history in fixed arrays (TestHistoryTakesLittle), 200
// markers, and a minute of the stream while somebody reads it.
//
// The function it is given must be safe for concurrent use, and so is a Server.
package dashboard
