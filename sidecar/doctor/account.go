package doctor

import (
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// account is a user of the operating system.
type account struct {
	uid  uint32
	name string // with the number, if the machine has a name for it
	// groups are the numbers of its groups, as text.
	groups []string
}

// accountOf finds a user by its number, which nobody may have.
func accountOf(uid uint32) account {
	number := strconv.FormatUint(uint64(uid), 10)
	found, err := user.LookupId(number)
	if err != nil {
		return account{uid: uid, name: "user " + number}
	}
	groups, err := found.GroupIds()
	if err != nil {
		groups = []string{found.Gid}
	}
	return account{uid: uid, name: found.Username + " (" + number + ")", groups: groups}
}

// mayConnect reports whether the permissions of a socket let a user connect, as far as they can
// be read: who connects writes.
func (a account) mayConnect(path string) bool {
	info, err := os.Stat(path)
	if err != nil || a.uid == 0 {
		return true
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	const write fs.FileMode = 0o2
	switch {
	case owner.Uid == a.uid:
		return info.Mode()&(write<<6) != 0
	case slices.Contains(a.groups, strconv.FormatUint(uint64(owner.Gid), 10)):
		return info.Mode()&(write<<3) != 0
	}
	return info.Mode()&write != 0
}
