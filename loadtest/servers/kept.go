package servers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keptDir is below the user's directory of caches. Tests keep there what initdb made, for
// the tests of other packages and of other days: a cluster of one PostgreSQL takes 30 MB.
// Whoever tests nothing may remove it.
const keptDir = "freshet-tests"

// keptTemplate returns a template that outlives this process, made now if there is none.
func (d *runDir) keptTemplate(ctx context.Context, binDir string) (dir string, err error) {
	dir, err = keptPath(binDir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", fmt.Errorf("keep a cluster: %w", err)
	}
	// The servers' user, who makes it, may be kept out of the user's directories.
	made := filepath.Join(d.path, "kept")
	if err := d.makeCluster(ctx, binDir, made); err != nil {
		return "", err
	}
	return dir, errors.Join(keep(filepath.Join(made, templateData), dir), os.RemoveAll(made))
}

// keep copies a cluster to where it is kept. What is there under its name is whole: it is
// moved there at once. Packages that are tested together may all make the first one:
//
//  1. A finds none, and makes one.
//  2. B finds none, and makes one.
//  3. A moves its own there, and servers of A copy it.
//  4. B finds that there is one, and leaves it there.
func keep(made, dir string) error {
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".fresh-")
	if err != nil {
		return fmt.Errorf("keep a cluster: %w", err)
	}
	whole := filepath.Join(fresh, templateData)
	if err = copyTree(made, whole, account{}); err == nil {
		err = os.Rename(whole, dir)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(fresh))
}

// keptPath names the template of a PostgreSQL: of these programs, made like this.
func keptPath(binDir string) (string, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find where to keep a cluster: %w", err)
	}
	program, err := os.Stat(filepath.Join(binDir, "postgres"))
	if err != nil {
		return "", fmt.Errorf("find out which PostgreSQL it is: %w", err)
	}
	of := fmt.Sprint(binDir, program.Size(), program.ModTime().UnixNano(), initdbArguments, roleStatement)
	return filepath.Join(caches, keptDir, fmt.Sprintf("cluster-%x", sha256.Sum256([]byte(of)))[:len("cluster-")+16]), nil
}
