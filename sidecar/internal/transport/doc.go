// Package transport holds the sockets of a sidecar: the Unix socket that one process
// at a time listens on, connections to Postgres, streams that are read until they are
// drained, the buffers that they are read into, and who is at the other end.
//
// It knows bytes and ends, not what is said. A write allocates nothing, and neither
// does a read into a buffer that has room. Hanging up waits for nobody.
package transport
