package main

import (
	"io"
	"strings"
	"testing"
)

// What go test -json tells of two packages at a time: one passes and has said something all
// the same, one fails, one does not compile, one has no tests, and one hangs.
const told = `{"Action":"start","Package":"shop/hangs"}
{"Action":"output","Package":"shop/hangs","Output":"waits\n"}
{"Action":"start","Package":"shop/fails"}
{"Action":"start","Package":"shop/passes"}
{"Action":"output","Package":"shop/passes","Output":"stray\n"}
{"Action":"output","Package":"shop/fails","Test":"TestTill","Output":"--- FAIL: TestTill (0.00s)\n"}
{"Action":"output","Package":"shop/fails","Test":"TestTill","Output":"    till_test.go:3: a coin is missing\n"}
{"Action":"output","Package":"shop/passes","Output":"ok  \tshop/passes\t1.5s\n"}
{"Action":"pass","Package":"shop/passes","Elapsed":1.5}
{"Action":"fail","Package":"shop/fails","Test":"TestTill","Elapsed":0}
{"Action":"output","Package":"shop/fails","Output":"FAIL\tshop/fails\t2.5s\n"}
{"Action":"fail","Package":"shop/fails","Elapsed":2.5}
{"ImportPath":"shop/broken","Action":"build-output","Output":"broken.go:3:27: undefined: nothing\n"}
{"ImportPath":"shop/broken","Action":"build-fail"}
{"Action":"start","Package":"shop/none"}
{"Action":"output","Package":"shop/none","Output":"?   \tshop/none\t[no test files]\n"}
{"Action":"skip","Package":"shop/none","Elapsed":0}
{"Action":"output","Package":"shop/hangs","Output":"still\n"}
no event`

const printed = `shop/fails: --- FAIL: TestTill (0.00s)
ok  	shop/passes	1.5s
--- FAIL: TestTill (0.00s)
    till_test.go:3: a coin is missing
FAIL	shop/fails	2.5s
broken.go:3:27: undefined: nothing
?   	shop/none	[no test files]
no eventwaits
still
NOT ENDED	shop/hangs
`

func TestResultsAreShownAsPackagesEnd(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := show(strings.NewReader(told), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != printed {
		t.Errorf("printed\n%s\nwant\n%s", &out, printed)
	}
}

// A package's result is printed while another's tests still run.
func TestNobodyWaitsForAnotherPackage(t *testing.T) {
	t.Parallel()
	in, events := io.Pipe()
	shownNow, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- show(in, out) }()
	go func() {
		_, _ = io.WriteString(events, `{"Action":"start","Package":"slow"}
{"Action":"start","Package":"quick"}
{"Action":"output","Package":"quick","Output":"ok  \tquick\t0.1s\n"}
{"Action":"pass","Package":"quick"}
`) // show reads to the end
	}()
	text := make([]byte, 100)
	for said := ""; !strings.HasSuffix(said, "\n"); {
		n, err := shownNow.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		if said += string(text[:n]); !strings.HasPrefix("ok  \tquick\t0.1s\n", said) {
			t.Fatalf("printed %q", said)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, shownNow) }()
	if err := events.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestWhatCannotBeReadOrPrintedIsSaid(t *testing.T) {
	t.Parallel()
	in, events := io.Pipe()
	_ = events.CloseWithError(io.ErrUnexpectedEOF) // it never fails
	if err := show(in, io.Discard); err == nil {
		t.Error("events that broke off were taken for all")
	}
	closed, out := io.Pipe()
	_ = closed.Close() // it never fails
	for _, events := range []string{"no event\n", `{"Action":"start","Package":"hangs"}`} {
		if err := show(strings.NewReader(events), out); err == nil {
			t.Errorf("nobody heard that nobody reads what came of %s", events)
		}
	}
}
