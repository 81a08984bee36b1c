package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/sidecar/internal/protocol"
)

// oracleMode is one of the ways in which drivers send a statement.
type oracleMode struct {
	name string
	send func(p *player, s *corpusStatement) error
	// elsewhere is set if the mode is also played through the oracle's other sidecar.
	elsewhere bool
	// text is set if values are sent and returned as text, as in the mode simple. Such a mode plays
	// one part only of a script that has parts: see kindsScripts.
	text bool
	// again is set if the mode plays each script a second time, also where no hits are expected.
	again bool
}

var oracleModes = []oracleMode{
	{name: "simple", send: (*player).simple, elsewhere: true, again: true},
	{name: "unnamed", send: (*player).unnamed, text: true},
	{name: "named", send: (*player).named, text: true, again: true},
	{name: "binary", send: (*player).binary, elsewhere: true},
	{name: "pipelined", send: (*player).pipelined, text: true},
}

// textModes is how many of oracleModes have text set, and how many parts a script has.
const textModes = 3

// playback is a script to be sent in one way.
type playback struct {
	script *corpusScript
	mode   oracleMode
	// part is which part of the script is played, if mode.text is set.
	part    int
	encoder *binaryEncoder
}

// player is a playback on one connection.
type player struct {
	playback
	c       *rawClient
	in      *bufio.Reader // reads c
	answers []answered
	named_  int // how many statements with a name were prepared
	batch   batch
}

// on plays the script on a new connection. The first answer is the greeting, the
// last what came after the end of the script.
func (p playback) on(c *rawClient) ([]answered, error) {
	on := &player{playback: p, c: c, in: bufio.NewReaderSize(c.conn, 64<<10)}
	on.keep("(start-up)", c.greeting)
	for i := range p.script.statements {
		s := &p.script.statements[i]
		if p.mode.text && !s.in(p.part) {
			continue
		}
		if err := p.mode.send(on, s); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", p.script.name, s.sql, err)
		}
	}
	if err := on.sendBatch(); err != nil {
		return nil, err
	}
	if err := c.trySend(msgTerminate); err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(on.in)
	on.keep("(end)", rest)
	return on.answers, errors.Join(err, c.conn.Close())
}

// message reads one message from the buffer.
func (p *player) message() ([]byte, error) {
	header, err := p.in.Peek(protocol.HeaderLength)
	if err != nil {
		return nil, err
	}
	n := protocol.MessageLength(header)
	if n < 0 {
		return nil, fmt.Errorf("malformed header %x", header)
	}
	m := make([]byte, n)
	_, err = io.ReadFull(p.in, m)
	return m, err
}

// sentAtOnceMax is how many bytes are written before an answer is read: so few that the write does
// not block.
const sentAtOnceMax = 32 << 10

// send writes messages. Those longer than sentAtOnceMax are written while the caller reads.
func (p *player) send(messages []byte) <-chan error {
	sent := make(chan error, 1)
	if len(messages) <= sentAtOnceMax {
		sent <- p.c.trySend(messages)
	} else {
		go func() { sent <- p.c.trySend(messages) }()
	}
	return sent
}

// keep appends what came back for a statement to the answers.
func (p *player) keep(statement string, answer []byte) {
	p.answers = append(p.answers, answered{statement, p.maskUnequal(answer)})
}

// maskUnequal replaces in an answer what cannot be the same on two servers:
//
//   - the process id in a notification that the session sent itself.
func (p *player) maskUnequal(answer []byte) []byte {
	for kind, message := range protocol.Messages(answer) {
		if kind == 'A' && bytes.HasPrefix(message[protocol.HeaderLength:], p.c.key[:4]) {
			copy(message[protocol.HeaderLength:], "self")
		}
	}
	return answer
}

// exchange sends messages and reads up to the last of so many ReadyForQuery as ready says. The data
// of a COPY FROM STDIN are sent when Postgres asks for them; extended says that a Sync must follow
// them.
func (p *player) exchange(send []byte, ready int, in *copyIn, extended bool) ([]byte, error) {
	if err := p.c.conn.SetReadDeadline(time.Now().Add(rawWait)); err != nil {
		return nil, err
	}
	sent := p.send(send)
	var got []byte
	for ready > 0 {
		m, err := p.message()
		if err != nil {
			return got, fmt.Errorf("%w, after\n%s", err, show(got))
		}
		got = append(got, m...)
		switch m[0] {
		case 'Z':
			ready--
		case 'G':
			if err := <-sent; err != nil {
				return got, err
			}
			sent = p.send(in.messages(extended))
		}
	}
	return got, <-sent
}

// simple sends a Query.
func (p *player) simple(s *corpusStatement) error {
	got, err := p.exchange(msgQuery(s.sql), 1, s.copyIn, false)
	p.keep(s.sql, got)
	return err
}

// unnamed sends Parse, Bind, Describe, Execute and Sync at once, as libpq does.
func (p *player) unnamed(s *corpusStatement) error {
	for _, values := range s.bindings() {
		got, err := p.exchange(synced(s.whole(values, 0)).send, 1, s.copyIn, true)
		p.keep(s.sql, got)
		if err != nil {
			return err
		}
	}
	return nil
}

// named prepares and describes a statement, and then executes it with each
// binding twice, as pgx does.
func (p *player) named(s *corpusStatement) error {
	p.named_++
	name := fmt.Sprintf("statement_%d", p.named_)
	got, err := p.exchange(synced(msgParse(name, s.sql), msgDescribe('S', name)).send, 1, nil, true)
	p.keep(s.sql, got)
	if err != nil {
		return err
	}
	for _, values := range s.bindings() {
		for range 2 {
			bind := binding{statement: name, values: values}.message()
			got, err := p.exchange(synced(bind, msgExecute("", 0)).send, 1, s.copyIn, true)
			p.keep(s.sql, got)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// binary asks for binary results, and sends parameters in binary form where
// their types have one.
func (p *player) binary(s *corpusStatement) error {
	var types []uint32
	if len(s.values) > 0 {
		got, err := p.exchange(synced(msgParse("", s.sql), msgDescribe('S', "")).send, 1, nil, true)
		p.keep(s.sql, got)
		if err != nil {
			return err
		}
		types = parameterTypes(got)
	}
	for _, values := range s.bindings() {
		bind := binding{results: []uint16{1}}
		for i, value := range values {
			format := uint16(0)
			if i < len(types) && value != nil {
				if encoded := p.encoder.encode(types[i], string(value)); encoded != nil {
					format, value = 1, encoded
				}
			}
			bind.formats, bind.values = append(bind.formats, format), append(bind.values, value)
		}
		send := synced(msgParse("", s.sql), bind.message(), msgDescribe('P', ""), msgExecute("", 0)).send
		got, err := p.exchange(send, 1, s.copyIn, true)
		p.keep(s.sql, got)
		if err != nil {
			return err
		}
	}
	return nil
}

// parameterTypes reads the ParameterDescription in an answer.
func parameterTypes(answer []byte) (types []uint32) {
	for kind, message := range protocol.Messages(answer) {
		if kind == 't' {
			for list := message[protocol.HeaderLength+2:]; len(list) >= 4; list = list[4:] {
				types = append(types, binary.BigEndian.Uint32(list))
			}
		}
	}
	return types
}

// batch gathers statements that are sent in one write.
type batch struct {
	number int    // of batches before it
	sql    string // the statements, for messages
	send   []byte
	ready  int // how many ReadyForQuery are to come
}

// batchMax is the number of statements in a batch.
const batchMax = 8

// pipelined sends batches of statements, each in one write, by turns as Queries and as groups. In
// every third batch some groups are cut by a Flush, or fetch their rows by portions.
func (p *player) pipelined(s *corpusStatement) error {
	b := &p.batch
	values := s.bindings()[0]
	kind := b.ready % 2
	if kind == 1 && b.number%3 == 2 && s.copyIn == nil {
		kind += b.ready / 2 % 3
	}
	switch kind {
	case 0:
		b.send = append(append(b.send, msgQuery(s.sql)...), s.copyIn.data()...)
	default:
		b.send = append(b.send, s.whole(values, kind)...)
		b.send = append(append(b.send, s.copyIn.data()...), msgSync...)
	}
	b.sql += s.sql + "\n"
	if b.ready++; b.ready == batchMax {
		return p.sendBatch()
	}
	return nil
}

// sendBatch sends the batch, if it has statements, and begins the next.
func (p *player) sendBatch() error {
	b := p.batch
	if b.ready == 0 {
		return nil
	}
	p.batch = batch{number: b.number + 1}
	got, err := p.exchange(b.send, b.ready, &copyIn{sent: true}, false)
	if err != nil {
		return fmt.Errorf("batch of\n%s: %w", b.sql, err)
	}
	p.keep(b.sql, got)
	return nil
}

// binaryEncoder asks Postgres for the binary form of values.
type binaryEncoder struct {
	conn *pgx.Conn

	mu    sync.Mutex
	known map[encoderKey][]byte
}

type encoderKey struct {
	oid  uint32
	text string
}

// encode returns the binary form of a text as a value of a type, nil if Postgres gives none.
func (e *binaryEncoder) encode(oid uint32, text string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := encoderKey{oid, text}
	if encoded, ok := e.known[key]; ok {
		return encoded
	}
	e.known[key] = nil
	ctx, c := context.Background(), e.conn.PgConn()
	var name string
	if e.conn.QueryRow(ctx, "SELECT format_type($1, NULL)", oid).Scan(&name) != nil {
		return nil
	}
	r := c.ExecParams(ctx, "SELECT $1::"+name, [][]byte{[]byte(text)}, []uint32{oid}, nil, []int16{1}).Read()
	if r.Err == nil && len(r.Rows) == 1 {
		e.known[key] = r.Rows[0][0]
	}
	return e.known[key]
}
