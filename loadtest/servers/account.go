package servers

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user the servers run as. The zero value is the user of this
// process.
type account struct {
	drop     bool
	uid, gid int
}

// serverAccount says who runs the servers: this user or, for root, postgres or
// nobody, because PostgreSQL refuses to run as root.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(found.Uid)
		gid, errGID := strconv.Atoi(found.Gid)
		if errUID == nil && errGID == nil && uid != 0 {
			return account{drop: true, uid: uid, gid: gid}, nil
		}
	}
	return account{}, fmt.Errorf("find a user to run servers as: root must not, and there is neither postgres nor nobody; run as an ordinary user")
}

// own gives path to the account, without following a symbolic link.
func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	if err := os.Lchown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("give %s to the servers' user: %w", path, err)
	}
	return nil
}

// owns reports whether files of uid can be this process's or its servers'.
func (a account) owns(uid int) bool {
	return uid == os.Geteuid() || uid == a.user()
}

// user is the number of the user that runs the servers.
func (a account) user() int {
	if a.drop {
		return a.uid
	}
	return os.Geteuid()
}

func (a account) credential() *syscall.Credential {
	if !a.drop {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}
