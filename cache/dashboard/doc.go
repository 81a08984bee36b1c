// Package dashboard shows, on a live page, what a DB of package cache does in this program:
// hits by function and statement, why reads are not kept, what misses come from, how fresh
// what is kept is, memory, Redis, and the tables that are watched. It is the page of the
// sidecar, less what a library has no figures for. Who does not import this package links
// nothing of it.
package dashboard
