// Package cachetest is for unit tests of programs that use package cache: Pass is a DB
// that caches nothing, and a World is a DB without Postgres whose commits and looks happen
// when a test says so. It makes no promise of freshness and is for tests alone.
package cachetest
