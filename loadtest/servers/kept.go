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
// the tests of other packages and of other days: a cluster of one PostgreSQL takes 40 MB.
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
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", fmt.Errorf("keep a cluster: %w", err)
	}
	// What is there under its name is whole: it is moved there at once.
	fresh, err := os.MkdirTemp(parent, ".fresh-")
	if err != nil {
		return "", fmt.Errorf("keep a cluster: %w", err)
	}
	// The servers' user, who makes it, may be kept out of the user's directories.
	made := filepath.Join(d.path, "kept")
	if err := d.makeCluster(ctx, binDir, made); err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	err = copyTree(filepath.Join(made, templateData), filepath.Join(fresh, templateData), account{})
	if err == nil {
		err = os.Rename(filepath.Join(fresh, templateData), dir)
	}
	if errors.Is(err, fs.ErrExist) { // another process was faster
		err = nil
	}
	return dir, errors.Join(err, os.RemoveAll(fresh), os.RemoveAll(made))
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
