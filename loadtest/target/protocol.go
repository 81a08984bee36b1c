package target

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet/freshet/loadtest/workload"
)

// Protocol is how statements are sent.
type Protocol string

// The protocols, by pgbench's names.
const (
	Simple   Protocol = "simple"   // one Query with the values in its text
	Extended Protocol = "extended" // Parse, Bind, Execute each time
	Prepared Protocol = "prepared" // Bind and Execute of a statement that was parsed once
)

// Protocols are all.
var Protocols = []Protocol{Simple, Extended, Prepared}

// wired is a session that speaks Postgres' protocol.
type wired struct {
	conn     *pgconn.PgConn
	protocol Protocol
	prepared map[*workload.Statement]string
	values   [][]byte
	text     []byte // values point into it
}

// dial connects to a Unix socket as the clients' role.
func dial(ctx context.Context, host string, port int, database string, protocol Protocol) (*wired, error) {
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", host, port, workload.Role, database))
	if err != nil {
		return nil, fmt.Errorf("connect a client: %w", err)
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect a client: %w", err)
	}
	return &wired{conn: conn, protocol: protocol, prepared: map[*workload.Statement]string{}}, nil
}

func (w *wired) Close() {
	_ = w.conn.Conn().Close() // also under an operation, which ends with an error then
}

func (w *wired) Read(o *workload.Operation, each func([][]byte)) error { return w.run(o, each) }

func (w *wired) Write(o *workload.Operation) error { return w.run(o, nil) }

// run sends an operation and reads its answer. Whoever does not want to wait any more closes
// the session: a context would cost a goroutine each time.
func (w *wired) run(o *workload.Operation, each func([][]byte)) error {
	ctx := context.Background()
	if w.protocol == Simple {
		answers := w.conn.Exec(ctx, inlined(o))
		for answers.NextResult() {
			read(answers.ResultReader(), each)
		}
		return answers.Close()
	}
	w.spell(o)
	var answer *pgconn.ResultReader
	if w.protocol == Extended {
		answer = w.conn.ExecParams(ctx, o.Statement.SQL, w.values, nil, nil, nil)
	} else {
		name, err := w.prepare(ctx, o.Statement)
		if err != nil {
			return err
		}
		answer = w.conn.ExecPrepared(ctx, name, w.values, nil, nil)
	}
	read(answer, each)
	_, err := answer.Close()
	return err
}

func read(answer *pgconn.ResultReader, each func([][]byte)) {
	for answer.NextRow() {
		if each != nil {
			each(answer.Values())
		}
	}
}

func (w *wired) prepare(ctx context.Context, s *workload.Statement) (string, error) {
	name, known := w.prepared[s]
	if !known {
		name = "s" + strconv.Itoa(len(w.prepared))
		if _, err := w.conn.Prepare(ctx, name, s.SQL, nil); err != nil {
			return "", err
		}
		w.prepared[s] = name
	}
	return name, nil
}

// spell writes the arguments as text.
func (w *wired) spell(o *workload.Operation) {
	w.values, w.text = w.values[:0], w.text[:0]
	var ends [workload.ArgumentsMax]int
	for i, argument := range o.Arguments[:o.Count] {
		w.text = strconv.AppendInt(w.text, argument, 10)
		ends[i] = len(w.text)
	}
	from := 0
	for _, end := range ends[:o.Count] {
		w.values = append(w.values, w.text[from:end])
		from = end
	}
}

// inlined is the text of an operation with its arguments in it.
func inlined(o *workload.Operation) string {
	var pairs [2 * workload.ArgumentsMax]string
	for i, argument := range o.Arguments[:o.Count] {
		pairs[2*i], pairs[2*i+1] = "$"+strconv.Itoa(i+1), strconv.FormatInt(argument, 10)
	}
	return strings.NewReplacer(pairs[:2*o.Count]...).Replace(o.Statement.SQL)
}
