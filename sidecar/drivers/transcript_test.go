package drivers

import (
	"errors"
	"fmt"
	"strings"
)

// transcript is what a Go program prints.
type transcript struct{ text strings.Builder }

func (p *transcript) print(values ...any) { fmt.Fprintln(&p.text, values...) }

// printError prints what a program can learn of an error of either driver.
func (p *transcript) printError(err error) {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		p.print("error", coded.SQLState(), err)
		return
	}
	p.print("error", err)
}

// printOr prints the error, if there is one, and otherwise the values.
func (p *transcript) printOr(err error, values ...any) {
	if err != nil {
		p.printError(err)
		return
	}
	p.print(values...)
}
