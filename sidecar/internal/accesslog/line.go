package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// appendLine appends a record as one line of JSON.
func appendLine(dst []byte, r *Record) []byte {
	dst = append(dst, `{"time":"`...)
	dst = r.at.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z07:00")
	dst = appendText(append(dst, `","role":`...), r.Role)
	dst = appendText(append(dst, `,"database":`...), r.Database)
	if r.PID != 0 {
		dst = strconv.AppendUint(append(dst, `,"pid":`...), uint64(r.PID), 10)
	}
	if r.Shape != "" {
		dst = appendText(append(dst, `,"shape":`...), r.Shape)
	}
	dst = append(dst, `,"tables":[`...)
	for i, table := range r.Tables {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, table)
	}
	dst = appendText(append(dst, `],"outcome":`...), r.Outcome)
	if r.Reason != "" {
		dst = appendText(append(dst, `,"reason":`...), r.Reason)
	}
	if r.Took != 0 {
		dst = appendMilliseconds(append(dst, `,"duration_ms":`...), r.Took)
	}
	if r.Kept {
		dst = appendMilliseconds(append(dst, `,"age_ms":`...), r.Age)
	}
	return append(dst, "}\n"...)
}

func appendMilliseconds(dst []byte, d time.Duration) []byte {
	return strconv.AppendFloat(dst, float64(d)/float64(time.Millisecond), 'f', 3, 64)
}

// appendText appends a text of JSON. What is no UTF-8 becomes the replacement character.
func appendText(dst []byte, text string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}
