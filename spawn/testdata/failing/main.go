// Command failing ends badly at once.
package main

import "os"

func main() { os.Exit(3) }
