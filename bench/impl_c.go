package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// cImpl runs a program of peers/*.c, called with SECONDS, N and args.
func cImpl(name, program string, args ...any) Impl {
	return Impl{
		Name: name,
		Missing: func() string {
			if _, err := cProgram(program); err != nil {
				return err.Error()
			}
			return ""
		},
		Run: func(ctx context.Context, n int) (Result, error) { return runC(ctx, n, program, args...) },
	}
}

func runC(ctx context.Context, n int, program string, args ...any) (Result, error) {
	path, err := cProgram(program)
	if err != nil {
		return Result{}, err
	}
	all := []string{fmt.Sprint(peerSeconds(ctx)), fmt.Sprint(n)}
	for _, arg := range args {
		all = append(all, fmt.Sprint(arg))
	}
	return runPeer(ctx, n, nil, path, all...)
}

// linuxOnly is an implementation that needs Linux.
func linuxOnly(im Impl) Impl {
	missing := im.Missing
	im.Missing = func() string {
		if runtime.GOOS != "linux" {
			return "it is measured on Linux only"
		}
		return missing()
	}
	return im
}

// cCompiler finds the C compiler: what CC names, cc, gcc or clang.
func cCompiler() (string, error) {
	if runtime.GOOS == "windows" {
		return "", errors.New("the C peers need a Unix system")
	}
	for _, name := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no C compiler (cc, gcc or clang) on PATH")
}

var cFlags = []string{"-O2", "-std=gnu11", "-pthread"}

// compiled remembers what became of each program, by what it was made from, for this process.
var compiled struct {
	sync.Mutex
	programs map[string]func() (string, error)
}

// cProgram returns the path of a compiled peer. It is compiled when it is first needed, and kept in the peers' folder.
func cProgram(name string) (string, error) {
	compiler, err := cCompiler()
	if err != nil {
		return "", err
	}
	source, err := peerSources.ReadFile("peers/" + name + ".c")
	if err != nil {
		return "", err
	}
	headers, err := peerHeaders()
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s %q\n%q\n%s", compiler, cFlags, headers, source))
	key := fmt.Sprintf("%s-%x", name, digest[:8])

	compiled.Lock()
	program, ok := compiled.programs[key]
	if !ok {
		program = sync.OnceValues(func() (string, error) {
			return install(key, func(path string) error { return compile(compiler, path, name, source, headers) })
		})
		if compiled.programs == nil {
			compiled.programs = make(map[string]func() (string, error))
		}
		compiled.programs[key] = program
	}
	compiled.Unlock()
	return program()
}

// peerHeaders returns the headers of the peers by name.
func peerHeaders() (map[string][]byte, error) {
	headers := make(map[string][]byte)
	entries, err := peerSources.ReadDir("peers")
	for _, e := range entries {
		if err == nil && filepath.Ext(e.Name()) == ".h" {
			headers[e.Name()], err = peerSources.ReadFile("peers/" + e.Name())
		}
	}
	return headers, err
}

// compile writes the sources beside path and compiles them to it.
func compile(compiler, path, name string, source []byte, headers map[string][]byte) error {
	dir := filepath.Dir(path)
	file := filepath.Join(dir, name+".c")
	if err := os.WriteFile(file, source, 0o600); err != nil {
		return err
	}
	for header, text := range headers {
		if err := os.WriteFile(filepath.Join(dir, header), text, 0o600); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, compiler, append(cFlags, "-o", path, file)...)
	cmd.WaitDelay = outputDelay
	inGroup(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s cannot compile %s.c: %w: %s", compiler, name, err, firstError(string(out)))
	}
	return nil
}

// firstError returns the first line of a compiler's output that speaks of an error.
func firstError(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "error") {
			return strings.TrimSpace(line)
		}
	}
	return lastLine(out)
}

// cVersion returns the first line of what the compiler says of itself.
func cVersion() string {
	compiler, err := cCompiler()
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, compiler, "--version").Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
