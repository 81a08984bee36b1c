package connection

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// OneLine returns err with its text in one line, and nil for nil. pgx gives each attempt
// to connect a line of its own, which logs, pages and systemd tear apart. Of these the last
// one's cause comes first, in words that say what to mend where it is a usual one.
func OneLine(err error) error {
	if err == nil {
		return nil
	}
	return oneLine{err}
}

type oneLine struct{ error }

func (e oneLine) Unwrap() error { return e.error }

func (e oneLine) Error() string {
	failed, ok := e.error.(*pgconn.ConnectError) // what wraps one has more to say
	if !ok {
		return inOneLine(e.error.Error())
	}
	causes := causesOf(failed)
	if len(causes) == 0 {
		return inOneLine(e.error.Error())
	}
	text := causes[0]
	if len(causes) > 1 {
		text += "; before that: " + strings.Join(causes[1:], "; ")
	}
	return text
}

// refusedTLS is what pgx says where a server has no TLS. With sslmode=prefer, which tries
// without then, that is no cause of anything.
const refusedTLS = "server refused TLS connection"

// causesOf are the causes of the attempts, the last one's first, each once.
func causesOf(failed *pgconn.ConnectError) (causes []string) {
	attempts := attemptsOf(failed.Unwrap())
	withoutTLS := slices.DeleteFunc(slices.Clone(attempts), func(err error) bool { return strings.Contains(err.Error(), refusedTLS) })
	if len(withoutTLS) > 0 {
		attempts = withoutTLS
	}
	for _, attempt := range slices.Backward(attempts) {
		if cause := causeOf(attempt, failed.Config); !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
	}
	return causes
}

// attemptsOf are the attempts that an error of all is made of.
func attemptsOf(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// causeOf says why one attempt failed.
func causeOf(err error, to *pgconn.Config) string {
	refused, answered := errors.AsType[*pgconn.PgError](err)
	reached, dialed := errors.AsType[*net.OpError](err)
	place := ""
	if dialed && reached.Addr != nil {
		place = reached.Addr.String()
	}
	unknown, asked := errors.AsType[*net.DNSError](err)
	switch {
	case answered:
		return refusalOf(refused, to)
	case asked:
		return "the host's name leads nowhere: " + unknown.Error()
	case errors.Is(err, syscall.ECONNREFUSED) && place != "":
		return "nobody listens on " + place + " (connection refused): is Postgres running there?"
	case errors.Is(err, syscall.ENOENT) && place != "":
		return "there is no socket " + place + " (no such file or directory): is Postgres running, and is this its directory and port?"
	}
	if strings.Contains(err.Error(), refusedTLS) {
		return "the server has no TLS, and sslmode demands it (" + refusedTLS + ")"
	}
	return inOneLine(err.Error())
}

// refusalOf says why Postgres let nobody in.
func refusalOf(e *pgconn.PgError, to *pgconn.Config) string {
	text := e.Message
	switch e.Code {
	case "28P01":
		text = "wrong password for " + to.User
	case "28000":
		text = to.User + " may not connect: " + e.Message
	case "3D000":
		text = "there is no database " + to.Database
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", inOneLine(text), e.Code)
}

// inOneLine puts the lines of a text behind one another.
func inOneLine(of string) string {
	lines := strings.FieldsFunc(of, func(r rune) bool { return r == '\n' || r == '\r' })
	text := ""
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case text == "" || strings.HasSuffix(text, ":"):
			text = strings.TrimSpace(text + " " + line)
		default:
			text += "; " + line
		}
	}
	return text
}
