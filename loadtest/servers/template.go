package servers

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// template holds the data directories that initdb made, one for each
// PostgreSQL, to be copied: initdb takes half a second, a copy a tenth of it.
type template struct {
	mu   sync.Mutex
	made map[string]string // programs' directory to data directory
	// keeps is set before the first template: it may stay for other processes (see
	// keptTemplate).
	keeps bool
}

// envTemplate tells the processes that this one starts, such as tests of a mutant, of the
// data directory that it copies: the directory of PostgreSQL's programs, a colon, and the
// data directory. It is set with the first template and unset when that is removed.
const envTemplate = "FRESHET_SERVERS_TEMPLATE"

// bequeath has the processes that this one starts copy a template of this one.
func bequeath(binDir, dir string) error { return os.Setenv(envTemplate, binDir+":"+dir) }

// disinherit ends what bequeath did, before the templates are removed. Who copies one finds
// it gone at the end, and knows that files may be missing in the copy.
func (t *template) disinherit() {
	if t.made == nil {
		return
	}
	_ = os.Unsetenv(envTemplate) // can only fail for a name that is none
	for _, dir := range t.made {
		if filepath.Base(dir) == templateData {
			_ = os.Rename(dir, dir+".gone") // both are removed next
		}
	}
}

// templateData is the data directory of a template that does not outlive this process.
const templateData = "data"

// inherited returns the template of the process that started this one, empty if that has
// none of this PostgreSQL.
func inherited(binDir string) string {
	dir, ok := strings.CutPrefix(os.Getenv(envTemplate), binDir+":")
	if !ok {
		return ""
	}
	return dir
}

// newDataDir fills dataDir, which must not exist, with a fresh cluster. Clusters
// that are copies have the same system identifier, as if restored from one
// backup; ownIdentity avoids that at initdb's price.
func (d *runDir) newDataDir(ctx context.Context, binDir, dataDir string, ownIdentity bool) error {
	if ownIdentity {
		return d.initdb(ctx, binDir, dataDir)
	}
	from, err := d.templateFor(ctx, binDir)
	if err != nil {
		return err
	}
	if err := copyTree(from, dataDir, d.account); err != nil {
		return fmt.Errorf("copy template cluster: %w", err)
	}
	return nil
}

func (d *runDir) templateFor(ctx context.Context, binDir string) (string, error) {
	d.template.mu.Lock()
	defer d.template.mu.Unlock()
	if dir, ok := d.template.made[binDir]; ok {
		return dir, nil
	}
	dir, err := d.newTemplate(ctx, binDir)
	if err != nil {
		return "", err
	}
	if d.template.made == nil {
		d.template.made = make(map[string]string)
		if err := bequeath(binDir, dir); err != nil {
			return "", fmt.Errorf("tell other processes of the template: %w", err)
		}
	}
	d.template.made[binDir] = dir
	return dir, nil
}

// newTemplate returns one that was kept or, where nothing can be kept, one that goes with
// the run directory.
func (d *runDir) newTemplate(ctx context.Context, binDir string) (string, error) {
	if d.template.keeps {
		if dir, err := d.keptTemplate(ctx, binDir); err == nil {
			return dir, nil
		}
	}
	home := filepath.Join(d.path, "template"+strconv.Itoa(len(d.template.made)))
	return filepath.Join(home, templateData), d.makeHome(home, func(dir string) error { return d.makeTemplate(ctx, binDir, dir) })
}

// makeCluster has initdb make a cluster in home.
func (d *runDir) makeCluster(ctx context.Context, binDir, home string) error {
	return d.makeHome(home, func(dir string) error { return d.initdb(ctx, binDir, dir) })
}

// makeHome makes a directory for a data directory, and lets fill make that.
func (d *runDir) makeHome(home string, fill func(dir string) error) error {
	if err := os.RemoveAll(home); err != nil { // of an attempt that failed
		return fmt.Errorf("remove unfinished template: %w", err)
	}
	if err := os.Mkdir(home, 0o700); err != nil {
		return fmt.Errorf("create template directory: %w", err)
	}
	if err := d.account.own(home); err != nil {
		return err
	}
	return fill(filepath.Join(home, templateData))
}

// makeTemplate copies what was inherited, or has initdb make it where there is nothing, or
// no longer.
func (d *runDir) makeTemplate(ctx context.Context, binDir, dir string) error {
	if from := inherited(binDir); from != "" {
		err := copyTree(from, dir, d.account)
		if _, gone := os.Stat(from); err == nil && gone == nil {
			return nil
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove unfinished copy: %w", err)
		}
	}
	return d.initdb(ctx, binDir, dir)
}

// initdbArguments are those beside where the cluster is to be. A segment of the log is what
// each copy begins with: usual ones would be 16 MB of 40.
var initdbArguments = []string{
	"--wal-segsize", "4",
	"--username", superuser, "--auth", "trust",
	"--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions",
}

// roleStatement makes the role that every server has.
const roleStatement = "CREATE ROLE " + Follower + " LOGIN\n"

func (d *runDir) initdb(ctx context.Context, binDir, dataDir string) error {
	parent := filepath.Dir(dataDir)
	err := command{
		path:    filepath.Join(binDir, "initdb"),
		args:    append([]string{"--pgdata", dataDir}, initdbArguments...),
		dir:     parent,
		logPath: filepath.Join(parent, "initdb.log"),
		account: d.account,
	}.run(ctx)
	if err != nil {
		return err
	}
	return command{
		path:    filepath.Join(binDir, "postgres"),
		args:    []string{"--single", "-D", dataDir, "-F", "postgres"},
		input:   roleStatement,
		dir:     parent,
		logPath: filepath.Join(parent, "roles.log"),
		account: d.account,
	}.run(ctx)
}

// copyTree copies directories and regular files, which is all a new cluster has.
func copyTree(from, to string, owner account) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			err = os.Mkdir(target, 0o700)
		} else {
			err = copyFile(path, target)
		}
		if err != nil {
			return err
		}
		return owner.own(target)
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := copyContent(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
