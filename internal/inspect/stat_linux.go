package inspect

import (
	"io/fs"
	"syscall"
)

func inode(st fs.FileInfo) uint64 { return st.Sys().(*syscall.Stat_t).Ino }

// blocks returns the bytes of memory that a file in memory takes.
func blocks(st fs.FileInfo) int64 { return st.Sys().(*syscall.Stat_t).Blocks * 512 }
