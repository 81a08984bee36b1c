package wire

import (
	"errors"
	"io"
)

const (
	bufferLengthMin = 8 << 10
	// bufferLengthMax bounds what is held of one direction before it is passed on
	// in pieces.
	bufferLengthMax = 256 << 10
)

var errBufferFull = errors.New("read buffer is full")

// buffer holds the bytes of one direction that were read and not yet dealt
// with: data[start:end].
type buffer struct {
	source     io.Reader
	data       []byte
	start, end int
}

func newBuffer(source io.Reader) buffer {
	return buffer{source: source, data: make([]byte, bufferLengthMin)}
}

// held returns the bytes not yet dealt with.
func (b *buffer) held() []byte { return b.data[b.start:b.end] }

// drop marks the first n held bytes as dealt with.
func (b *buffer) drop(n int) {
	b.start += n
	if b.start == b.end {
		b.start, b.end = 0, 0
	}
}

// full reports whether as much is held as may be.
func (b *buffer) full() bool { return len(b.held()) == bufferLengthMax }

// room returns where the next bytes belong, behind end. It returns errBufferFull
// if bufferLengthMax bytes are held. Slices of held() are void afterwards.
func (b *buffer) room() ([]byte, error) {
	if b.end == len(b.data) {
		switch {
		case b.start > 0:
			b.end = copy(b.data, b.held())
			b.start = 0
		case len(b.data) < bufferLengthMax:
			grown := make([]byte, 2*len(b.data))
			b.end = copy(grown, b.held())
			b.data = grown
		default:
			return nil, errBufferFull
		}
	}
	return b.data[b.end:], nil
}

// fill reads once.
func (b *buffer) fill() error {
	room, err := b.room()
	if err != nil {
		return err
	}
	n, err := b.source.Read(room)
	b.end += n
	if n > 0 {
		return nil
	}
	return err
}

// Read implements io.Reader: it takes what is held, and reads once if that is nothing.
func (b *buffer) Read(into []byte) (n int, err error) {
	if len(b.held()) == 0 {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n = copy(into, b.held())
	b.drop(n)
	return n, nil
}
