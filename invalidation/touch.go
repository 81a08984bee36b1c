package invalidation

import (
	_ "embed"
	"strconv"
	"strings"

	"github.com/freshet/freshet/cache/fence"
)

//go:embed schema/touch.sql
var touchTemplate string

// touchNamesMax is how many names one call of freshet.touch moves one by one.
const touchNamesMax = 256

// touchSQL makes freshet.touch.
var touchSQL = fillTouch(touchTemplate)

func fillTouch(template string) string {
	template = fillRecording(template)
	return strings.NewReplacer(
		"{{names}}", strconv.Itoa(touchNamesMax),
		"{{length}}", strconv.Itoa(valueBytesMax),
		"{{prefix}}", fence.OwnPrefix,
		"{{reserved}}", fence.OwnReserved,
		"{{wholesale}}", "{"+fence.OwnWholesaleText+"}",
		"{{everything}}", "{"+fence.OwnWholesaleText+"}",
	).Replace(template)
}

// fillRecording fills in how a function that returns nothing records an event, rings, and
// says that it could not.
func fillRecording(template string) string {
	attend := strings.ReplaceAll(doorbellSQL(attendTemplate), "RETURN NULL;", "RETURN;")
	return fill(fill(fill(template, "{{attend}}", attend), "{{ring}}", doorbellSQL(ringTemplate)), "{{failed}}", failedTemplate)
}
