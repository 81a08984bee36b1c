// Package answer is an answer of Postgres as it lies in the cache: its messages, the key
// that it lies under, what it tells a client of its statement, and the capture that
// collects it as it passes.
//
// A key has everything that determines an answer, so that whoever asks for the same key
// may be sent the same bytes. A capture that is not the whole answer, or of which it is
// not known what the client was told before, makes no entry. What is read from Redis is
// checked to be whole messages.
//
// It is pure but for the entry that it makes in the cache's terms. An Answer and a Told do
// not change, and may be read by any goroutine; a Capture is guarded by its conversation.
package answer
