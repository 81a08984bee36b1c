package check

import (
	"fmt"
)

// constant is a text whose meaning PostgreSQL fixes when it parses a statement, by a
// setting. Each of the meanings has a row of its own in table constants.
type constant struct {
	setting string
	values  [meanings]string // as SET takes them
	sql     string           // reads the row of the meaning
}

const (
	// meanings is how many values of its setting a constant is read under.
	meanings = 2
	// meantCount is the number of the rows of constants.
	meantCount = meanings * constantCount
	// constantCount is the number of constants.
	constantCount = 3
)

var constants = [constantCount]constant{
	{"DateStyle", [...]string{"'ISO, MDY'", "'ISO, DMY'"}, selectMeantSQL + `day = '01/02/2020'`},
	{"TimeZone", [...]string{"'UTC'", "'Asia/Tokyo'"}, selectMeantSQL + `moment = '2020-01-01 00:00'`},
	{"standard_conforming_strings", [...]string{"on", "off"}, selectMeantSQL + `word = 'a\\b'`},
}

const (
	selectMeantSQL = `SELECT id, version, mark FROM constants WHERE `
	readMeantSQL   = `SELECT version, mark FROM constants WHERE id = $1`
)

// set is the statement that gives the setting a value.
func (c constant) set(value int) string { return "SET " + c.setting + " = " + c.values[value] }

// setter is the name of the statement that does so, prepared.
func (c constant) setter(value int) string { return fmt.Sprint("set ", c.setting, " ", value) }

// meaning is a constant under a value of its setting, by their numbers.
type meaning struct{ constant, value int }

// key is the row that is meant.
func (m meaning) key() key { return key{meant, meanings*m.constant + m.value} }

func (m meaning) String() string {
	c := constants[m.constant]
	return c.setting + " " + c.values[m.value]
}
