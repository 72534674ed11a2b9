package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// cpythonImpl runs a mode of peers/cpython.py.
func cpythonImpl(mode string, args ...int) Impl {
	return Impl{
		Name:    "cpython",
		Missing: cpythonMissing,
		Run: func(ctx context.Context, n int) (Result, error) {
			return runCPython(ctx, n, nil, mode, args...)
		},
	}
}

func cpythonMissing() string {
	if _, err := findPython(); err != nil {
		return err.Error()
	}
	return ""
}

func runCPython(ctx context.Context, n int, stdin io.Reader, mode string, args ...int) (Result, error) {
	return runPython(ctx, "cpython.py", n, stdin, mode, args...)
}

// runPython runs a mode of a script in peers.
func runPython(ctx context.Context, name string, n int, stdin io.Reader, mode string, args ...int) (Result, error) {
	python, err := findPython()
	if err != nil {
		return Result{}, err
	}
	script, err := pythonScript(name)
	if err != nil {
		return Result{}, err
	}
	all := []string{"-I", "-B", script, fmt.Sprint(peerSeconds(ctx)), mode, fmt.Sprint(n)}
	for _, arg := range args {
		all = append(all, fmt.Sprint(arg))
	}
	return runPeer(ctx, n, stdin, python.path, all...)
}

// pythonScript returns the path of a script: the start method "spawn" needs it as a file.
func pythonScript(name string) (string, error) {
	source, err := peerSources.ReadFile("peers/" + name)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(source)
	return install(fmt.Sprintf("%s-%x.py", strings.TrimSuffix(name, ".py"), digest[:8]), func(path string) error {
		return os.WriteFile(path, source, 0o600)
	})
}

// A python is an interpreter that was found and tried.
type python struct {
	path, version string // version such as "3.13.1"
}

// The names that are looked for, the preferred one first: 3.13 is what the targets were set against.
var pythonNames = []string{"python3.13", "python3.14", "python3.12", "python3.11", "python3"}

var errNoPython = errors.New("no CPython 3.11 or later with multiprocessing on PATH")

// found remembers the interpreter of each search path.
var found struct {
	sync.Mutex
	byPath map[string]func() (python, error)
}

// findPython looks for CPython 3.11 or later. Every candidate is run: what stands under the name on PATH may be a shim of
// a version manager that has no such version.
func findPython() (python, error) {
	path := os.Getenv("PATH")
	found.Lock()
	search, ok := found.byPath[path]
	if !ok {
		search = sync.OnceValues(func() (python, error) { return searchPython(filepath.SplitList(path)) })
		if found.byPath == nil {
			found.byPath = make(map[string]func() (python, error))
		}
		found.byPath[path] = search
	}
	found.Unlock()
	return search()
}

func searchPython(dirs []string) (python, error) {
	for _, name := range pythonNames {
		for _, dir := range dirs {
			if !filepath.IsAbs(dir) {
				continue
			}
			candidates := []string{filepath.Join(dir, name)}
			if filepath.Base(dir) == "shims" {
				// The interpreters of a version manager stand beside its shims.
				beside, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "versions", "*", "bin", name))
				candidates = append(candidates, beside...)
			}
			for _, candidate := range candidates {
				if path, err := exec.LookPath(candidate); err == nil {
					if version, ok := tryPython(path); ok {
						return python{path, version}, nil
					}
				}
			}
		}
	}
	return python{}, errNoPython
}

// tryPython runs an interpreter and returns its version when it is one that can be measured.
func tryPython(path string) (version string, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	const program = "import sys, multiprocessing.synchronize as s\n" +
		"print(sys.implementation.name, sys.version_info >= (3, 11), '%d.%d.%d' % sys.version_info[:3])"
	cmd := exec.CommandContext(ctx, path, "-I", "-B", "-c", program)
	cmd.WaitDelay = outputDelay
	inGroup(cmd)
	out, err := cmd.Output()
	if err != nil {
		return "", false
	}
	fields := bytes.Fields(out)
	if len(fields) != 3 || string(fields[0]) != "cpython" || string(fields[1]) != "True" {
		return "", false
	}
	return string(fields[2]), true
}

// PeerVersions names the versions of the peers that were found on this machine, by what they are: "cpython", "cc".
func PeerVersions() map[string]string {
	versions := make(map[string]string)
	if p, err := findPython(); err == nil {
		versions["cpython"] = strings.TrimSpace("CPython " + p.version)
	}
	if v := cVersion(); v != "" {
		versions["cc"] = v
	}
	return versions
}
