// Command other has targets of its own and not the one that it is asked for.
package main

import (
	"context"

	"github.com/fb2d3dbd/multiproc/spawn"
)

var _ = spawn.NewTarget("another", func(context.Context, struct{}) error { return nil })

func main() { spawn.Init() }
