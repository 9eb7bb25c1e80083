package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// mode is what a file of the log has when it is made: its lines tell who has asked for what.
const mode = 0o640

// Sink is where lines go.
type Sink struct {
	format Format
	w      io.Writer
	file   *os.File // nil: w is somebody else's
	torn   bool     // the last line is not whole
}

// NewSink returns a sink that writes to w, which stays open.
func NewSink(format Format, w io.Writer) *Sink { return &Sink{format: format, w: w} }

// OpenFile returns a sink that appends to a file, which is made if there is none.
func OpenFile(format Format, path string) (*Sink, error) {
	// Not to wait for a reader, should it be a pipe, nor to follow who has put a link there.
	const flags = os.O_WRONLY | os.O_APPEND | syscall.O_NONBLOCK | syscall.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if file, err = os.OpenFile(path, flags|os.O_CREATE, mode); err == nil {
			err = file.Chmod(mode) // whatever the umask
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open access log: %w: the file must be a plain one that meshd may write; by default that is below /var/log/meshd", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open access log %s: %w", path, err)
	}
	return &Sink{format: format, w: file, file: file}, nil
}

// Close closes the file of a sink that was never used.
func (s *Sink) Close() error {
	if s == nil || s.file == nil {
		return nil
	}
	return s.file.Close()
}

// write writes lines, and returns how many have not got there.
func (s *Sink) write(lines []byte) (lost int, err error) {
	if s.torn {
		if _, err = s.w.Write([]byte("\n")); err != nil {
			return bytes.Count(lines, []byte("\n")), err
		}
		s.torn = false
	}
	n, err := s.w.Write(lines)
	if err == nil {
		return 0, nil
	}
	s.torn = n > 0 && lines[n-1] != '\n'
	return bytes.Count(lines[n:], []byte("\n")), err
}
