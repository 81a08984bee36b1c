package main

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Tests are ended at the moment that .ci/until is given, however late they begin, and
// have time to say something even then.
func TestTestsAreEndedInTime(t *testing.T) {
	t.Parallel()
	timeout := func(until int64) (seconds int64) {
		t.Helper()
		out, err := exec.Command("../until", strconv.FormatInt(until, 10), "echo", "-test.timeout=40m").Output()
		if err != nil {
			t.Fatal(err)
		}
		text, ok := strings.CutPrefix(strings.TrimSuffix(string(out), "s\n"), "-test.timeout=40m -test.timeout ")
		if seconds, err = strconv.ParseInt(text, 10, 64); err != nil || !ok {
			t.Fatalf("the tests were called with %q", out)
		}
		return seconds
	}
	if seconds := timeout(1); seconds != 10 {
		t.Errorf("%d s are given when the moment has passed", seconds)
	}
	begin := time.Now().Unix()
	seconds := timeout(begin + 3600)
	if took := time.Now().Unix() - begin; seconds > 3600 || seconds < 3600-took {
		t.Errorf("%d s are given of 3600, of which %d may have passed", seconds, took)
	}
}
