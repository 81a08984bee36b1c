package main

import "fmt"

// Exit codes.
const (
	exitOK = 0
	// exitFailure: what was asked for could not be done. For explain: the statement
	// cannot be cached.
	exitFailure = 1
	// exitUsage: what was asked for makes no sense. For explain: any error.
	exitUsage = 2
)

// codedError is an error that ends the program with a code of its own. One
// without a text was told in another way already.
type codedError struct {
	error
	code int
}

// Unwrap returns what is wrong.
func (e codedError) Unwrap() error { return e.error }

// usage says that the user has to write the command or the configuration in
// another way.
func usage(format string, arguments ...any) error {
	return codedError{fmt.Errorf(format, arguments...), exitUsage}
}
