// Package dashboard shows what one sidecar does: a live page for people, JSON
// for programs, metrics for Prometheus, and health for whoever starts and
// stops it.
//
//	/                 the page; self-contained, it fetches nothing from elsewhere
//	/api/v1/stats     Stats as JSON
//	/api/v1/history   the last two minutes, second by second
//	/metrics          Prometheus
//	/livez            200 while the process answers
//	/readyz           200 while it serves clients and keeps up, else 503 and why
//
// It only reads, and only through the function it is given; it can change
// nothing. Bound to a loopback address it answers only requests that name a
// loopback host, so that no web site can read it through a visitor's browser.
// It has no authentication: bound to another address, everyone who reaches it
// can read table names, never rows.
//
// The function it is given must be safe for concurrent use, and so is a Server.
package dashboard
