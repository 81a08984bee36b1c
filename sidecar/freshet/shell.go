package main

import (
	"fmt"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/muesli/roff"
)

// completionCommand prints what a shell needs to complete our commands and options. It
// then asks the program itself, by a variable of its own in the environment.
type completionCommand struct{ kongcompletion.Completion }

// answerCompletion answers a shell that asks for completions, and ends the program then.
func answerCompletion(parser *kong.Kong) {
	kongcompletion.Register(parser, kongcompletion.WithExitFunc(func(code int) { panic(exit(code)) }))
}

type manCommand struct{}

// Run prints the manual page, made of the same texts as --help.
func (manCommand) Run(parsed *kong.Context, out *output) error {
	_, err := fmt.Fprint(out.stdout, mangokong.NewManPage(1, parsed.Model).Build(roff.NewDocument()))
	return err
}
