// Package cacheotel tells OpenTelemetry of what package cache does: counts and times of
// its reads, and what became of them in the traces of those who read. It imports the API
// of OpenTelemetry alone; which SDK is behind that is its user's matter. Everything in it
// may be called concurrently.
package cacheotel
