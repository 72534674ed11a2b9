package docs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	// They are looked at by way of the go command, and are imported so that a change of them has the tests run again.
	_ "github.com/fb2d3dbd/multiproc/conn"
	_ "github.com/fb2d3dbd/multiproc/forkserver"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
	_ "github.com/fb2d3dbd/multiproc/manager"
	_ "github.com/fb2d3dbd/multiproc/pool"
)

const module = "github.com/fb2d3dbd/multiproc"

func TestMain(m *testing.M) { proctest.Main(m) }

// paths are the packages that the documents may name, by the names that they use.
var paths = func() map[string]string {
	all := map[string]string{"multiproc": module}
	for _, p := range []string{"conn", "forkserver", "futex", "manager", "pool", "ringbuf", "shm", "spawn"} {
		all[p] = module + "/" + p
	}
	for _, p := range []string{"bufio", "bytes", "context", "crypto/tls", "encoding/binary", "encoding/json", "errors", "fmt", "io", "iter", "log", "log/slog", "maps", "net", "net/http",
		"os", "os/exec", "os/signal", "runtime", "slices", "strconv", "strings", "sync", "sync/atomic", "syscall", "time"} {
		all[p[strings.LastIndexByte(p, '/')+1:]] = p
	}
	return all
}()

// A block is a fenced one of a document.
type block struct {
	file    string // from the module's root
	line    int    // of the text's first line
	section int    // number of the heading of the second level that it stands under
	lang    string
	text    string
}

func (b block) program() bool { return b.lang == "go" && strings.HasPrefix(b.text, "package main") }

// documents returns the Markdown files that are for users.
func documents(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md", "docs/python.md"}
	guides, err := fs.Glob(os.DirFS(".."), "docs/guide/*.md")
	if err != nil || len(guides) == 0 {
		t.Fatalf("guides: %v, %v", guides, err)
	}
	return append(all, guides...)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func blocks(t *testing.T, file string) []block {
	t.Helper()
	var all []block
	var b *block
	section, n := 0, 0
	for line := range strings.Lines(read(t, file)) {
		n++
		switch fence, isFence := strings.CutPrefix(line, "```"); {
		case isFence && b == nil:
			b = &block{file: file, line: n + 1, section: section, lang: strings.TrimSpace(fence)}
		case isFence:
			all = append(all, *b)
			b = nil
		case b != nil:
			b.text += line
		case strings.HasPrefix(line, "## "):
			section++
		}
	}
	if b != nil {
		t.Fatalf("%s: the block of line %d has no end", file, b.line)
	}
	return all
}

// checker type-checks files by what the compiler has written about the packages that they import.
type checker struct {
	fset *token.FileSet
	imp  types.Importer
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}} {{.Export}}{{end}}"}
	for _, p := range paths {
		args = append(args, p)
	}
	export := map[string]string{}
	for line := range strings.Lines(command(t, nil, "go", args...)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			export[path] = file
		}
	}
	fset := token.NewFileSet()
	return &checker{fset, importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if export[path] == "" {
			return nil, fmt.Errorf("no document imports %s: add it to paths", path)
		}
		return os.Open(export[path])
	})}
}

// check reports what is wrong with a file, but for variables that are not used if the file is of parts.
func (c *checker) check(t *testing.T, text string, parts bool) {
	t.Helper()
	f, err := parser.ParseFile(c.fset, "", text, 0) // the text says of which document it is
	if err != nil {
		t.Errorf("%v\nin\n%s", err, text)
		return
	}
	conf := types.Config{Importer: c.imp, Error: func(err error) {
		var e types.Error
		if errors.As(err, &e) && e.Soft && parts {
			return
		}
		t.Error(err)
	}}
	_, _ = conf.Check("p", c.fset, []*ast.File{f}, nil) // Error has told
}

// TestGo type-checks what the documents show. A block that begins with "package main" is a program. Those under one heading of the second level are
// parts of one text: declarations, or statements, in which ctx and err are known, and what the statements before have declared.
func TestGo(t *testing.T) {
	c := newChecker(t)
	for _, file := range documents(t) {
		sections := map[int][]block{}
		for _, b := range blocks(t, file) {
			if neat, err := format.Source([]byte(b.text)); b.lang == "go" && err == nil && string(neat) != b.text {
				t.Errorf("%s, line %d: gofmt would have\n%s", file, b.line, neat)
			}
			switch {
			case b.program():
				c.check(t, fmt.Sprintf("//line %s:%d\n%s", file, b.line, b.text), false)
			case b.lang == "go":
				sections[b.section] = append(sections[b.section], b)
			}
		}
		for _, s := range sections {
			c.check(t, join(s), true)
		}
	}
}

// join makes one file of the blocks of a section.
func join(section []block) string {
	var declarations, statements strings.Builder
	depth := 0
	for _, b := range section {
		at := fmt.Sprintf("\n//line %s:%d\n", b.file, b.line)
		if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+b.text, 0); err == nil {
			declarations.WriteString(at + b.text)
			continue
		}
		statements.WriteString("{" + at + b.text)
		depth++
	}
	body := declarations.String() + "\nfunc _(ctx context.Context) (err error) {\n" + statements.String() + strings.Repeat("}\n", depth) + "return\n}\n"
	used := map[string]bool{}
	if f, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+body, 0); err == nil {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && paths[x.Name] != "" {
					used[x.Name] = true
				}
			}
			return true
		})
	}
	head := "package p\nimport \"context\"\n"
	for name := range used {
		if name != "context" {
			head += fmt.Sprintf("import %q\n", paths[name])
		}
	}
	return head + body
}

var (
	inline = regexp.MustCompile("`[^`\n]+`")
	fenced = regexp.MustCompile("(?ms)^```.*?^```")
	full   = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)
	short  = regexp.MustCompile(`(?:^|[^\w.])([A-Z]\w*)(?:\.([A-Z]\w*))?`)
)

// TestNames looks for what the documents name in running text: package.Name and package.Type.Method, and where they are for users also errors, and
// types with a member, of any package.
func TestNames(t *testing.T) {
	c := newChecker(t)
	anywhere := func(name, member string) bool {
		for _, path := range paths {
			if strings.HasPrefix(path, module) && c.exists(t, path, name, member) {
				return true
			}
		}
		return false
	}
	all := documents(t)
	designs, err := fs.Glob(os.DirFS(".."), "docs/design/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range append(all, designs...) {
		for _, span := range inline.FindAllString(fenced.ReplaceAllString(read(t, file), ""), -1) {
			for _, m := range full.FindAllStringSubmatch(span, -1) {
				if path := paths[m[1]]; strings.HasPrefix(path, module) && !c.exists(t, path, m[2], m[3]) {
					t.Errorf("%s: there is no %s", file, m[0])
				}
			}
			for _, m := range short.FindAllStringSubmatch(span, -1) {
				if i < len(all) && (m[2] != "" || strings.HasPrefix(m[1], "Err")) && !anywhere(m[1], m[2]) {
					t.Errorf("%s: no package has %s", file, strings.Trim(m[0], "` "))
				}
			}
		}
	}
}

func (c *checker) exists(t *testing.T, path, name, member string) bool {
	t.Helper()
	pkg, err := c.imp.Import(path)
	if err != nil {
		t.Fatal(err)
	}
	obj := pkg.Scope().Lookup(name)
	if obj == nil || member == "" {
		return obj != nil
	}
	found, _, _ := types.LookupFieldOrMethod(obj.Type(), true, pkg, member)
	return found != nil
}

// TestPrograms runs the programs that are followed by a block of text, which is what they print.
func TestPrograms(t *testing.T) {
	type run struct {
		block
		want string
	}
	var runs []run
	for _, file := range documents(t) {
		all := blocks(t, file)
		for i, b := range all {
			if b.program() && i+1 < len(all) && all[i+1].lang == "text" && file != fromPython {
				runs = append(runs, run{b, all[i+1].text})
			}
		}
	}
	var programs []block
	for _, r := range runs {
		programs = append(programs, r.block)
	}
	for i, exe := range build(t, programs...) {
		r := runs[i]
		t.Run(strings.TrimSuffix(filepath.Base(r.file), ".md"), func(t *testing.T) {
			out, err := exec.CommandContext(proctest.Context(t), exe).CombinedOutput()
			if err != nil || string(out) != r.want {
				t.Errorf("the program of %s, line %d: %v; it printed\n%s\nand the document says\n%s", r.file, r.line, err, out, r.want)
			}
		})
	}
}

// build builds programs of the documents and returns their executables. They are linked without cgo, so that there are all start methods.
func build(t *testing.T, programs ...block) []string {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the documents show what linux/amd64 can do")
	}
	if len(programs) == 0 {
		t.Fatal("there are no programs")
	}
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	args := []string{"build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", dir + string(filepath.Separator)}
	var all []string
	for i, p := range programs {
		name := fmt.Sprintf("program%d", i)
		source := filepath.Join(dir, name+".go")
		if err := os.WriteFile(source, []byte(p.text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, "docs", name, "main.go")] = source
		args = append(args, "./docs/"+name)
		all = append(all, filepath.Join(dir, name))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, []string{"CGO_ENABLED=0"}, "go", args...)
	return all
}

// command runs a command in the module's root and returns what it prints.
func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(proctest.Context(t), name, args...)
	cmd.Dir = ".."
	cmd.Env = slices.Concat(os.Environ(), env)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// TestKillOneInTheMiddle does with the README's program what the README says: it kills a worker, and the other one gets its job and does all the rest.
func TestKillOneInTheMiddle(t *testing.T) {
	var program []block
	for _, b := range blocks(t, "README.md") {
		if b.program() {
			b.text = strings.ReplaceAll(b.text, "time.Sleep(time.Second)", "time.Sleep(20 * time.Millisecond)")
			program = append(program, b)
		}
	}
	cmd := exec.CommandContext(proctest.Context(t), build(t, program...)[0])
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all, last string
	killed := 0
	seen := map[int]bool{}
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		last = scanner.Text()
		all += last + "\n"
		var job, process, delivery int
		if _, err := fmt.Sscanf(last, "job %d done by process %d, delivery %d", &job, &process, &delivery); err != nil {
			continue
		}
		seen[job] = true
		if killed == 0 {
			killed = process
			proctest.Signal(t, killed, syscall.SIGKILL) // it has a job in hand, or is about to take one
		}
	}
	if err := cmd.Wait(); err != nil || last != "all jobs are done" || len(seen) != 20 {
		t.Errorf("after the death of process %d: %v, %d of 20 jobs done, and the program printed\n%s", killed, err, len(seen), all)
	}
}

const fromPython = "docs/guide/from-python.md"

// TestFromPython runs the Python program of the guide with the Go program as its worker.
func TestFromPython(t *testing.T) {
	const python = "python3"
	if out, err := exec.CommandContext(proctest.Context(t), python, "-c", "import multiprocessing.connection, multiprocessing.shared_memory").CombinedOutput(); err != nil {
		t.Skipf("there is no python3 with multiprocessing: %v %s", err, out)
	}
	var worker []block
	var script, want string
	for _, b := range blocks(t, fromPython) {
		switch {
		case b.program():
			worker = append(worker, b)
		case b.lang == "python":
			script = filepath.Join(t.TempDir(), "main.py")
			if err := os.WriteFile(script, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case b.lang == "text":
			want = b.text
		}
	}
	out, err := exec.CommandContext(proctest.Context(t), python, script, build(t, worker...)[0]).CombinedOutput()
	if err != nil || string(out) != want {
		t.Errorf("%s: %v; it printed\n%s\nand the document says\n%s", fromPython, err, out, want)
	}
}
