package proctest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// programVariable says which program a run of the test binary is.
const programVariable = "MULTIPROC_TEST_PROGRAM"

// A Program is another program in the test binary: what its own main function would do. It shares only the package-level
// variables with the tests. Without a call of spawn.Init it is a program without one.
type Program struct{ name string }

var programs = map[string]func() int{}

// NewProgram registers main, which returns the exit code, for use in a package-level variable.
func NewProgram(name string, main func() int) *Program {
	if programs[name] != nil {
		panic("proctest: two programs are named " + name)
	}
	programs[name] = main
	return &Program{name}
}

// Command returns the command that runs the program, which is killed when ctx ends. In it, os.Args[1:] are args.
func (p *Program) Command(ctx context.Context, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), p.Env())
	return cmd
}

// Env returns the setting that makes a run of the test binary this program.
func (p *Program) Env() string { return programVariable + "=" + p.name }

// runProgram runs the program that this process is, if it is one, and does not return then. The variable stays set: a child
// that the program starts is the program again, as it is with real ones.
func runProgram() {
	name := os.Getenv(programVariable)
	if name == "" {
		return
	}
	main, ok := programs[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "proctest: the test binary has no program %q\n", name)
		os.Exit(2)
	}
	os.Exit(main())
}
