package cache

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// codec is what one read needs to write its key, and to gather and scan its rows. pgx's maps of
// types remember what they were used for, so each read has one to itself.
type codec struct {
	types   *pgtype.Map
	encoded pgx.ExtendedQueryBuilder
	key     []byte
	// captured is where a load gathers the rows of an answer before their size is known.
	captured []byte
	// values and plans are those of a row, plans for the types of destinations.
	values [][]byte
	plans  []plan
}

func newCodec(types *pgtype.Map) *codec { return &codec{types: types} }

// keyPrefix begins the keys of statements.
const keyPrefix = "pgx\x00"

// encode makes the key of a view of a statement with values. An error is one that the pool would
// give too.
func (c *codec) encode(in *connectionState, m *meaning, v *view, args []any) error {
	if err := c.encoded.Build(c.types, m.description, args); err != nil {
		return err
	}
	c.key = append(append(append(c.key[:0], keyPrefix...), in.id[:]...), v.id[:]...)
	for i, value := range c.encoded.ParamValues {
		c.key = appendPart(append(c.key, byte(c.encoded.ParamFormats[i])), value)
	}
	return nil
}

// give hands a codec back for the next read.
func (s *connectionState) give(c *codec) {
	if cap(c.key) > codecKeepMax {
		c.key = nil
	}
	if cap(c.captured) > codecKeepMax {
		c.captured = nil
	}
	clear(c.plans)
	clear(c.values)
	c.plans, c.values = c.plans[:0], c.values[:0]
	s.codecs.Put(c)
}

// codecKeepMax is the longest key, and are the longest rows, whose memory is kept for
// another read, in bytes.
const codecKeepMax = 16 << 10
