package drivers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The driver, and what lets it use a Unix socket, where Debian has them.
var javaLibraries = []string{"/usr/share/java/postgresql.jar", "/usr/share/java/junixsocket-common.jar"}

// junixsocketNative is where Debian has junixsocket's part in C.
const junixsocketNative = "/usr/lib/*/jni/libjunixsocket-native-system.so"

const javaPackages = "default-jdk-headless libpostgresql-jdbc-java libjunixsocket-java"

// javaClasses compiles the programs, once, as starting the compiler is what takes long, and
// returns the folder of their classes.
var javaClasses = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "java")
	classes := strings.Join(javaLibraries, string(os.PathListSeparator))
	out, err := exec.Command("javac", "-cp", classes, "-d", dir,
		filepath.Join("testdata", "java", "Program.java"), filepath.Join("testdata", "java", "Failover.java")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compile the Java programs: %w; is it there? apt-get install %s\n%s", err, javaPackages, out)
	}
	return dir, nil
})

// javaRuns are arguments for programs that live so short that they gain nothing from the
// optimizing compiler, nor from collecting garbage beside their work.
var javaRuns = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}

// javaProgram returns the arguments that run the program.
var javaProgram = sync.OnceValues(func() ([]string, error) {
	for _, library := range javaLibraries {
		if _, err := os.Stat(library); err != nil {
			return nil, fmt.Errorf("find a library: %w; run: apt-get install %s", err, javaPackages)
		}
	}
	native, err := filepath.Glob(junixsocketNative)
	if err != nil || len(native) == 0 {
		return nil, fmt.Errorf("nothing is %s; run: apt-get install %s", junixsocketNative, javaPackages)
	}
	dir, err := javaClasses()
	if err != nil {
		return nil, err
	}
	classes := strings.Join(append([]string{dir}, javaLibraries...), string(os.PathListSeparator))
	return append(javaRuns[:len(javaRuns):len(javaRuns)], "-cp", classes, "-Djava.library.path="+filepath.Dir(native[0]), "Program"), nil
})

func TestJDBC(t *testing.T) {
	for _, mode := range []string{"autocommit", "transactions"} {
		t.Run(mode, func(t *testing.T) {
			prove(t, client{name: "JDBC, " + mode, run: func(t *testing.T, at endpoint) string {
				t.Helper()
				program, err := javaProgram()
				if err != nil {
					t.Fatal(err)
				}
				socket := filepath.Join(at.host, fmt.Sprintf(".s.PGSQL.%d", at.port))
				return output(t, at, "", "java", append(program[:len(program):len(program)], socket, mode)...)
			}})
		})
	}
}
