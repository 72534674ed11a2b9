package inspect

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A fileKey tells the files of shared memory apart: those with names and those without stand in file systems of their own.
type fileKey struct {
	named bool
	ino   uint64
}

// A descriptor is one of a process that leads to shared memory.
type descriptor struct {
	key   fileKey
	named bool
	path  string
}

type process struct {
	Process
	files []descriptor
	maps  map[fileKey]bool
}

const (
	memfdPrefix = "/memfd:multiproc"
	shmPrefix   = "/dev/shm/"
)

// processes returns those that have to do with shared memory, and how many may not be looked at.
func processes() (all []process, hidden int, err error) {
	entries, err := os.ReadDir("/proc")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, errors.ErrUnsupported
	}
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := look(pid)
		if errors.Is(err, fs.ErrPermission) {
			hidden++
		}
		if err == nil && (len(p.files) > 0 || len(p.maps) > 0) {
			all = append(all, p)
		}
	}
	return all, hidden, nil
}

func look(pid int) (p process, err error) {
	dir := "/proc/" + strconv.Itoa(pid)
	p.PID = pid
	if name, err := os.ReadFile(dir + "/comm"); err == nil {
		p.Name = string(bytes.TrimSpace(name))
	}
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return p, err
	}
	for _, fd := range fds {
		path := dir + "/fd/" + fd.Name()
		to, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(to, memfdPrefix) && !strings.HasPrefix(to, shmPrefix) {
			continue
		}
		if st, err := os.Stat(path); err == nil {
			named := strings.HasPrefix(to, shmPrefix)
			p.files = append(p.files, descriptor{fileKey{named, inode(st)}, named, path})
		}
	}
	f, err := os.Open(dir + "/maps")
	if err != nil {
		return p, err
	}
	defer f.Close()
	p.maps = map[fileKey]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		i := strings.IndexByte(line, '/')
		if i < 0 || !strings.HasPrefix(line[i:], memfdPrefix) && !strings.HasPrefix(line[i:], shmPrefix) {
			continue
		}
		if f := strings.Fields(line[:i]); len(f) == 5 {
			ino, _ := strconv.ParseUint(f[4], 10, 64)
			p.maps[fileKey{strings.HasPrefix(line[i:], shmPrefix), ino}] = true
		}
	}
	return p, nil
}

// keyOf returns what file stands under the path, and its size and the memory it takes.
func keyOf(path string) (key fileKey, size, resident int64) {
	st, err := os.Stat(path)
	if err != nil {
		return fileKey{}, 0, 0
	}
	return fileKey{strings.HasPrefix(path, shmPrefix), inode(st)}, st.Size(), blocks(st)
}

// pythonBlocks returns the blocks that CPython's multiprocessing.shared_memory names, and this package's.
func pythonBlocks() (all []*Segment, err error) {
	paths, err := filepath.Glob(shmPrefix + "psm_*")
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		s := &Segment{Kind: Python, Name: filepath.Base(path), path: path}
		if s.key, s.Size, s.Resident = keyOf(path); s.key.ino != 0 {
			if st, err := os.Stat(path); err == nil {
				s.Created = st.ModTime()
			}
			all = append(all, s)
		}
	}
	return all, nil
}
