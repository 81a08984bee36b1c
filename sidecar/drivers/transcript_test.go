package drivers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// transcript is what a Go program prints.
type transcript struct{ text strings.Builder }

// start prints the version of the driver's module, as go.mod has it.
func (p *transcript) start(t *testing.T, module string) {
	t.Helper()
	required, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`\s` + regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(required)
	if found == nil {
		t.Fatalf("go.mod does not require %s", module)
	}
	p.print(string(found[1]))
}

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
