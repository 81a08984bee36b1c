package main

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
)

// userList names users of the operating system, by name or number. As text they are
// separated by commas.
type userList []string

// UnmarshalText adds the users in text, so that a flag may be repeated.
func (l *userList) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	for _, name := range strings.Split(string(text), ",") {
		if name = strings.TrimSpace(name); name == "" {
			return errors.New("a user is empty: write names or numbers, such as 1000,www-data")
		}
		*l = append(*l, name)
	}
	return nil
}

// numbers are the users' numbers. A name that is all digits is a number, unless a user has it.
func (l userList) numbers() (all []uint32, err error) {
	var problems []error
	for _, name := range l {
		number := name
		if account, err := user.Lookup(name); err == nil {
			number = account.Uid
		}
		uid, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			problems = append(problems, fmt.Errorf("read --allow-uids: this machine has no user %q", name))
			continue
		}
		all = append(all, uint32(uid))
	}
	return all, errors.Join(problems...)
}
