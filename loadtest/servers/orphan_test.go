package servers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// envVictim makes the test binary a program that starts servers and waits to be
// killed.
const envVictim = "FRESHET_SERVERS_TEST_VICTIM"

// victimReport is what the victim prints about what it will leave behind.
type victimReport struct {
	RunDir    string
	Processes []int // the servers and PostgreSQL's children
	Segment   int   // System V shared memory
}

func beVictim() error {
	ctx := context.Background()
	pg, err := LaunchPostgres(ctx, PostgresOptions{})
	if err != nil {
		return err
	}
	rd, err := LaunchRedis(ctx, RedisOptions{})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, pg.DSN("postgres")) // a session process too
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT 1"); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(pg.DataDir(), "postmaster.pid"))
	if err != nil {
		return err
	}
	notes := parsePIDFile(string(text))
	var segment unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(notes.segment, unix.IPC_STAT, &segment); err != nil || int(segment.Cpid) != notes.pid {
		return fmt.Errorf("shared memory %d is not the server's: made by %d, %w", notes.segment, segment.Cpid, err)
	}
	report := victimReport{
		RunDir:    pg.run.path,
		Processes: append(childrenOf(pg.server.pid), pg.server.pid, rd.server.pid),
		Segment:   notes.segment,
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return err
	}
	_, err = os.Stdin.Read(make([]byte, 1)) // returns when the test is gone
	return errors.Join(errors.New("victim was not killed"), err)
}

// A process that dies by SIGKILL leaves no server running, and what it leaves on
// disk and in shared memory goes at the next start.
func TestKilledParentLeavesNothing(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Log("the death signal exists on Linux only; elsewhere the next start ends the servers")
		return
	}
	report := killVictim(t)
	if len(report.Processes) < 4 {
		t.Fatalf("the victim had processes %v, want two servers and children", report.Processes)
	}
	for _, pid := range report.Processes {
		Eventually(t, "process of the dead parent to end", func() bool { return !alive(pid) })
	}

	// Another process may have swept already; this makes sure.
	sweep(filepath.Dir(report.RunDir), mustAccount(t))
	if _, err := os.Stat(report.RunDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory %s of the dead process after a sweep: %v, want none", report.RunDir, err)
	}
	var segment unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(report.Segment, unix.IPC_STAT, &segment); err == nil {
		t.Errorf("shared memory %d of the dead process is still there", report.Segment)
	}
}

// The sweep of one process must not touch a living one's servers.
func TestSweepSparesTheLiving(t *testing.T) {
	t.Parallel()
	rd := StartRedis(t, RedisOptions{})
	sweep(filepath.Dir(rd.run.path), mustAccount(t))
	if !redisAnswers(rd.SocketPath()) {
		t.Error("a sweep removed a running server")
	}
}

// Of directories without a lock a sweep removes those alone that are empty and old.
func TestSweepSparesForeignDirectories(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	foreign := filepath.Join(base, "fs42")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * unlockedAgeMin)
	if err := os.Chtimes(foreign, long, long); err != nil {
		t.Fatal(err)
	}
	begun, dead := filepath.Join(base, "fs43"), filepath.Join(base, "fs44") // of processes that have no lock yet, and never got one
	for _, dir := range []string{begun, dead} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(dead, long, long); err != nil {
		t.Fatal(err)
	}
	sweep(base, mustAccount(t))
	for dir, stays := range map[string]bool{foreign: true, begun: true, dead: false} {
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("behind a sweep, %s: %v, want that it stays: %v", dir, err, stays)
		}
	}
}

func killVictim(t *testing.T) victimReport {
	t.Helper()
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), envVictim+"=1")
	var stderr bytes.Buffer
	victim.Stderr = &stderr
	if _, err := victim.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	errKill := victim.Process.Kill()
	_ = victim.Wait() // says that it was killed
	if err != nil || errKill != nil {
		t.Fatalf("victim: %v, %v; it said: %s", err, errKill, stderr.String())
	}
	var report victimReport
	if err := json.Unmarshal(line, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

func mustAccount(t *testing.T) account {
	t.Helper()
	who, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	return who
}
