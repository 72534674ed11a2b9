package bench

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// peerSources are the programs of the other languages.
//
//go:embed peers/*.c peers/*.h peers/*.py
var peerSources embed.FS

// peerDir returns the folder where compiled peers are kept from run to run: in the user's cache, or a temporary one for
// a user who has none.
var peerDir = sync.OnceValues(func() (string, error) {
	if cache, err := os.UserCacheDir(); err == nil {
		dir := filepath.Join(cache, "multiproc-bench")
		if err := os.MkdirAll(dir, 0o700); err == nil {
			return dir, nil
		}
	}
	dir, err := os.MkdirTemp("", "multiproc-bench-")
	if err != nil {
		return "", fmt.Errorf("folder for the peers: %w", err)
	}
	return dir, nil
})

// install puts a file into the peers' folder under a name that says its content, by make, which writes it to the path
// that it is given. Several processes may do it at once.
func install(name string, make func(path string) error) (string, error) {
	dir, err := peerDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	work, err := os.MkdirTemp(dir, "making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	made := filepath.Join(work, name)
	if err := make(made); err != nil {
		return "", err
	}
	return path, os.Rename(made, path)
}
