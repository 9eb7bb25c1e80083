package config

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// refusal is why a file that could be read is not: someone who is not trusted may have written it.
type refusal struct {
	because string // follows the path
	fix     string
}

func (r *refusal) Error() string { return r.because + ": " + r.fix }

// readFile reads a configuration file that only root and the user of this process can have written.
//
// All questions go to the opened file, so that nobody can swap it in between. Opening does not wait for the other end
// of a pipe.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if err := trust(path, info.Mode(), int(owner), os.Geteuid()); err != nil {
		return nil, err
	}
	src, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxFileSize {
		return nil, &refusal{fmt.Sprintf("is larger than %d MiB", maxFileSize>>20), "Split the file, or check that it is the right one."}
	}
	return src, nil
}

// trust returns a *refusal for a file that others may have written.
func trust(path string, mode fs.FileMode, owner, self int) error {
	switch {
	case !mode.IsRegular():
		return &refusal{"is not a regular file", "Name a file, or a folder that holds files *.hcl."}
	case mode.Perm()&0o022 != 0:
		return &refusal{"can be written by others than its owner", fmt.Sprintf(
			"Who can write the configuration decides where connections go. Run: chmod go-w %s", path)}
	case owner != 0 && owner != self:
		return &refusal{"belongs to another user", fmt.Sprintf(
			"Who can write the configuration decides where connections go. Run: chown root %s", path)}
	}
	return nil
}
