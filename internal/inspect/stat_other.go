//go:build !linux

package inspect

import "io/fs"

func inode(st fs.FileInfo) uint64 { return 0 }

func blocks(st fs.FileInfo) int64 { return 0 }
