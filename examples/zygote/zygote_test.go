package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }

// command is the command itself.
var command = proctest.NewProgram("zygote", func() int {
	main()
	return 0
})

func TestCommand(t *testing.T) {
	if err := multiproc.ForkServer.Available(); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	for _, args := range [][]string{
		{"-mib", "8", "-servers", "3", "-requests", "3000"},
		{"-mib", "1", "-servers", "3", "-requests", "1", "-huge"},
	} {
		out, err := command.Command(proctest.Context(t), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		want := `^a server started in \S+
a server started in \S+
a server started in \S+
` + args[5] + ` questions were answered in \S+
process "serve-[123]" \(pid \d+\): killed by signal 9 \(killed\); another took its place in \S+
 *MiB +RSS +PSS +of its own
( *server \d+( +\d+){3}
){3} *3 servers( +\d+){3}
an index for each server alone would be \d+ MiB
$`
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("%q printed\n%s", args, out)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, flag := range []string{"-mib", "-servers", "-requests"} {
		out, err := command.Command(proctest.Context(t), flag, "0").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "positive") {
			t.Errorf("%s 0: %v, %s", flag, err, out)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Setenv(sizeVariable, "1")
	if err := loadIndex(); err != nil {
		t.Fatal(err)
	}
	defer func() { index = nil }()
	for i := range index {
		if value, found := lookup(keyOf(i)); !found || value != valueOf(keyOf(i)) {
			t.Fatalf("record %d is %d, %v", i, value, found)
		}
		if _, found := lookup(keyOf(i) + 1); found && keyOf(i+1) != keyOf(i)+1 {
			t.Fatalf("a key after record %d is found", i)
		}
	}
	for _, size := range []string{"", "0", "much"} {
		t.Setenv(sizeVariable, size)
		if err := loadIndex(); err == nil {
			t.Errorf("an index of %q MiB was loaded", size)
		}
	}
}
