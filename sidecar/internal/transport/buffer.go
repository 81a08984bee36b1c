package transport

import (
	"errors"
	"io"
)

const (
	bufferLengthMin = 8 << 10
	// BufferLengthMax bounds what is held of one direction before it is passed on
	// in pieces.
	BufferLengthMax = 256 << 10
)

var errBufferFull = errors.New("read buffer is full")

// Buffer holds the bytes of one direction that were read and not yet dealt
// with: data[start:end].
type Buffer struct {
	source     io.Reader
	data       []byte
	start, end int
}

// NewBuffer returns an empty buffer for what is read from source.
func NewBuffer(source io.Reader) Buffer {
	return Buffer{source: source, data: make([]byte, bufferLengthMin)}
}

// Held returns the bytes not yet dealt with.
func (b *Buffer) Held() []byte { return b.data[b.start:b.end] }

// Drop marks the first n held bytes as dealt with.
func (b *Buffer) Drop(n int) {
	b.start += n
	if b.start == b.end {
		b.start, b.end = 0, 0
	}
}

// Full reports whether as much is held as may be.
func (b *Buffer) Full() bool { return len(b.Held()) == BufferLengthMax }

// room returns where the next bytes belong, behind end. It returns errBufferFull
// if bufferLengthMax bytes are held. Slices of held() are void afterwards.
func (b *Buffer) room() ([]byte, error) {
	if b.end == len(b.data) {
		switch {
		case b.start > 0:
			b.end = copy(b.data, b.Held())
			b.start = 0
		case len(b.data) < BufferLengthMax:
			grown := make([]byte, 2*len(b.data))
			b.end = copy(grown, b.Held())
			b.data = grown
		default:
			return nil, errBufferFull
		}
	}
	return b.data[b.end:], nil
}

// Fill reads once.
func (b *Buffer) Fill() error {
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
func (b *Buffer) Read(into []byte) (n int, err error) {
	if len(b.Held()) == 0 {
		if err := b.Fill(); err != nil {
			return 0, err
		}
	}
	n = copy(into, b.Held())
	b.Drop(n)
	return n, nil
}
