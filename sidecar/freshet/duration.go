package main

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
)

// readDuration is a kong.MapperFunc. A number without a unit is the usual mistake.
func readDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := parseDuration(text)
	target.SetInt(int64(d))
	return err
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		unit := "a number and a unit, such as 2s or 500ms"
		if _, notANumber := strconv.ParseFloat(text, 64); notANumber == nil {
			unit = text + "s or " + text + "ms"
		}
		return 0, fmt.Errorf("%q is no duration: write %s", text, unit)
	}
	return d, nil
}
