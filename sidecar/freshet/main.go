// Freshet answers repeated reads of a Postgres database from memory, and never
// with anything older than promised. This program is the command line: it reads
// the configuration, and starts and stops what package run puts together.
//
// Standard output carries what was asked for (one line when serve is ready, a
// report, an explanation), standard error logs and errors.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "development"

// commandLine is the whole command line. Its names are stable.
type commandLine struct {
	Serve      serveCommand       `cmd:"" help:"Serve clients: answer repeated reads from memory, pass everything else to Postgres."`
	Install    installCommand     `cmd:"" help:"Put triggers in place, so that changes of tables are known."`
	Uninstall  uninstallCommand   `cmd:"" help:"Remove everything that install put into the database."`
	Suspend    suspendCommand     `cmd:"" help:"Take the event triggers away and stop capture, for a major upgrade or a schema tool; nothing is cached meanwhile."`
	Resume     resumeCommand      `cmd:"" help:"Put back what suspend took away, and cache again."`
	Explain    explainCommand     `cmd:"" help:"Say whether a statement is cached, on which tables it depends, or why not."`
	Observe    observeCommand     `cmd:"" help:"Pass everything on to Postgres, and say what the cache would bring: nothing is installed, nothing is cached, no rights are needed."`
	Purge      purgeCommand       `cmd:"" help:"End answers before their time, in every sidecar of a database."`
	Bypass     bypassCommand      `cmd:"" help:"Have a running sidecar send everything to Postgres, or answer from the cache again."`
	Doctor     doctorCommand      `cmd:"" help:"Examine Postgres, what is installed, Redis, the socket and the machine, and say what to do. Exit code 0, 1 with warnings, 2 with errors."`
	Health     healthcheckCommand `cmd:"" name:"healthcheck" help:"Say in one line whether a running sidecar is well. Exit code 0 or 1."`
	Stats      statsCommand       `cmd:"" help:"Print what a running sidecar counts."`
	Top        topCommand         `cmd:"" help:"Show what a running sidecar does, again and again."`
	Tail       tailCommand        `cmd:"" help:"Print what changes in the database as lines of JSON, for others to use; it goes on where it was."`
	Reload     reloadCommand      `cmd:"" help:"Have a running sidecar read its configuration again, as SIGHUP does. Exit code 0, 1 if it is not valid, 4 if a change takes a restart."`
	Config     configCommand      `cmd:"" help:"Check the configuration, or print it."`
	Completion completionCommand  `cmd:"" help:"Print what bash, zsh or fish need to complete commands and options."`
	Man        manCommand         `cmd:"" help:"Print the manual page (freshet man | man -l -)."`
	Version    versionCommand     `cmd:"" help:"Print the version."`
}

// output is where a command writes.
type output struct{ stdout, stderr io.Writer }

const description = `A read-through cache for Postgres that never lies about how fresh its answers are.

Every option of a command can also stand in the environment, in capitals behind FRESHET_ (FRESHET_SOCKET_DIR), and in a YAML file given with --config, by its name (socket-dir: /run/freshet). Flags win over the environment, the environment wins over the file.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the program at once, the first one lets clients finish.
	context.AfterFunc(ctx, stop)
	os.Exit(runCommand(ctx, os.Args[1:], output{os.Stdout, os.Stderr}))
}

// exit is how the parser asks to end the program after --help.
type exit int

// runCommand runs one command line and returns its exit code.
func runCommand(ctx context.Context, arguments []string, out output) (code int) {
	defer func() {
		switch asked := recover().(type) {
		case nil:
		case exit:
			code = int(asked)
		default:
			panic(asked)
		}
	}()
	if len(arguments) == 0 {
		arguments = []string{"--help"}
	}
	parser, err := newParser(&commandLine{}, out)
	if err != nil {
		return report(out, err)
	}
	answerCompletion(parser)
	parsed, err := parser.Parse(arguments)
	command := chosenCommand(err)
	misspelled := checkEnvironment(parser.Model.Node, os.Environ())
	if err == nil && parsed.Command() == "doctor" {
		parsed.Bind(environmentProblem{misspelled}) // a finding like others
		misspelled = nil
	}
	if err := errors.Join(misspelled, err); err != nil {
		_ = report(out, fmt.Errorf("%w\nRun freshet %s--help for all options", err, command))
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(&out, reread(arguments))
	return report(out, parsed.Run())
}

// newParser returns a parser that fills in command.
func newParser(command *commandLine, out output) (*kong.Kong, error) {
	return kong.New(command,
		kong.Name("freshet"),
		kong.Description(description),
		kong.Writers(out.stdout, out.stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.DefaultEnvars(strings.TrimSuffix(environmentPrefix, "_")),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(formatHelp),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(readDuration)),
	)
}

// formatHelp ends each help text with the default, unless the text says so
// itself.
func formatHelp(value *kong.Value) string {
	if !value.HasDefault {
		return value.Help
	}
	return strings.TrimSuffix(value.Help, ".") + " (default " + value.Default + ")."
}

// chosenCommand is the command that a wrong command line began with, and a
// blank; empty if there is none.
func chosenCommand(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
		return strings.TrimPrefix(wrong.Context.Selected().FullPath(), "freshet ") + " "
	}
	return ""
}

// report prints an error, if there is one, and returns the exit code.
func report(out output, err error) int {
	if err == nil {
		return exitOK
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(out.stderr, "freshet: "+text)
	}
	var coded codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitFailure
}
