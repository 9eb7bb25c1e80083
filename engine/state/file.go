package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	format = "meshd-state"

	// Version is that of the format and of what is in it. A file of any other is not read: what it holds meshd learns again.
	Version = 1

	// MaxSize bounds a file, in bytes. A catalog of ten thousand services takes some 5 MB.
	MaxSize = 64 << 20
)

// The ways in which a file cannot be trusted.
var (
	ErrVersion = errors.New("it is of another version of meshd")
	ErrCorrupt = errors.New("it is corrupt")
)

// Quarantine is where Read moves a file that cannot be trusted, in the place of one that was moved there before.
func Quarantine(path string) string { return path + ".corrupt" }

// encode returns a file that holds v.
func encode(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	sum := sha256.Sum256(body)
	text := fmt.Appendf(nil, "%s %d %x\n", format, Version, sum)
	if len(text)+len(body)+1 > MaxSize {
		return nil, fmt.Errorf("encode state: %d bytes are more than the %d that a file may have", len(body), MaxSize)
	}
	return append(append(text, body...), '\n'), nil
}

// decode reads a file into v, of which nothing counts when it fails.
func decode(text []byte, v any) error {
	head, body, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Split(string(head[:min(len(head), 128)]), " ")
	if len(fields) != 3 || fields[0] != format {
		return fmt.Errorf("%w: its first line is not that of a state of meshd", ErrCorrupt)
	}
	if fields[1] != strconv.Itoa(Version) {
		return fmt.Errorf("%w: %q, and this one reads %d", ErrVersion, fields[1], Version)
	}
	body, whole := bytes.CutSuffix(body, []byte("\n"))
	sum := sha256.Sum256(body)
	if !whole || fields[2] != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// Read reads what Write has written. The error is fs.ErrNotExist when there is no file, and ErrVersion or ErrCorrupt when
// there was one that is now in quarantine.
func Read(path string, v any) error {
	// A pipe or a device in its place must not make a start hang.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return fmt.Errorf("read state: %w", err)
	case len(text) > MaxSize:
		err = fmt.Errorf("%w: it is larger than %d bytes", ErrCorrupt, MaxSize)
	default:
		err = decode(text, v)
	}
	if err != nil {
		err = fmt.Errorf("%s is not used: %w", path, err)
		if moveErr := os.Rename(path, Quarantine(path)); moveErr != nil {
			err = fmt.Errorf("%w; it cannot be moved aside: %w", err, moveErr)
		}
	}
	return err
}

// write replaces a file by text, so that after a loss of power at any moment it is the old one or the new one.
func write(path string, text []byte) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	next := path + ".tmp" // there is one writer, and what an earlier one has left is of no use
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return syncFolder(folder)
}

// syncFolder makes a rename last.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
