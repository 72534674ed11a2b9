package multiproc_test

import (
	"os"
	"testing"

	"github.com/fb2d3dbd/multiproc"
	"github.com/fb2d3dbd/multiproc/internal/proctest"
)

// TestEveryMethod runs the tests of this package under each start method that is not the default.
func TestEveryMethod(t *testing.T) {
	if os.Getenv(methodVariable) != "" {
		t.Skip("it is such a run")
	}
	for _, m := range multiproc.StartMethods()[1:] {
		t.Run(string(m), func(t *testing.T) {
			// A process reads at its beginning where it is to die, which a copy has behind it.
			skip := "^TestKilled(AtEveryPoint|WhileRepairing)"
			if m == multiproc.Fork {
				// A forked child has both ends of every pipe, and sees no end of the other side as long as it keeps them; and those of Wait
				// start processes while goroutines of their own wait.
				skip += "|^Test(Pipe|Wait)"
			}
			args := []string{"-test.run=^Test", "-test.skip=" + skip}
			if testing.Short() {
				args = append(args, "-test.short")
			}
			proctest.Again(t, methodVariable+"="+string(m), args...)
		})
	}
}
