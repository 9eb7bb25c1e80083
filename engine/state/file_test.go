package state

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

type thing struct {
	Name  string
	Count int
}

var some = thing{"billing", 3}

func written(t *testing.T, v any) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "made", "thing.state")
	text, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(path, text); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrittenIsRead(t *testing.T) {
	path := written(t, some)
	var got thing
	if err := Read(path, &got); err != nil || got != some {
		t.Errorf("read %v, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder %v, %v", folder.Mode(), err)
	}
}

func TestNoFileIsNoProblem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "thing.state")
	if err := Read(path, new(thing)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestWhatCannotBeTrustedIsMovedAside(t *testing.T) {
	good, err := encode(some)
	if err != nil {
		t.Fatal(err)
	}
	otherVersion := bytes.Replace(good, []byte(" 1 "), []byte(" 2 "), 1)
	flipped := bytes.Replace(good, []byte("billing"), []byte("killing"), 1)
	notOurs, err := encode([]string{"another", "shape"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		want error
	}{
		"empty":           {nil, ErrCorrupt},
		"text":            {[]byte("hello\n"), ErrCorrupt},
		"other version":   {otherVersion, ErrVersion},
		"truncated":       {good[:len(good)-5], ErrCorrupt},
		"last byte gone":  {good[:len(good)-1], ErrCorrupt},
		"flipped":         {flipped, ErrCorrupt},
		"more behind":     {append(bytes.Clone(good), "x\n"...), ErrCorrupt},
		"other shape":     {notOurs, ErrCorrupt},
		"zeroes":          {make([]byte, len(good)), ErrCorrupt},
		"of another disk": {bytes.Repeat([]byte{0xff}, 1<<16), ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "thing.state")
			for range 2 { // the second time there is one in quarantine already
				if err := os.WriteFile(path, c.text, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := Read(path, new(thing)); !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %v, want %v", err, c.want)
				}
			}
			if aside, err := os.ReadFile(Quarantine(path)); err != nil || !bytes.Equal(aside, c.text) {
				t.Errorf("in quarantine: %q, %v", aside, err)
			}
			if err := Read(path, new(thing)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestSizeIsBounded(t *testing.T) {
	if _, err := encode(strings.Repeat("x", MaxSize)); err == nil {
		t.Error("more than a file may have is encoded")
	}
	path := filepath.Join(t.TempDir(), "thing.state")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil { // a hole
		t.Fatal(err)
	}
	if err := Read(path, new(thing)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a file without end: %v", err)
	}
}

func TestPipeIsNotWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "thing.state")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(path, new(thing)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error %v", err)
	}
}

func TestLinkIsNotFollowed(t *testing.T) {
	folder := t.TempDir()
	precious := filepath.Join(folder, "precious")
	if err := os.WriteFile(precious, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "thing.state")
	if err := os.Symlink(precious, path+".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := write(path, []byte("x")); err == nil {
		t.Error("written through a link")
	}
	if text, err := os.ReadFile(precious); string(text) != "dear diary" || err != nil {
		t.Errorf("the file behind the link holds %q, %v", text, err)
	}
}

// FuzzRead checks that no file makes a start fail, and that one which is read was written by us.
func FuzzRead(f *testing.F) {
	good, err := encode(some)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(format + " 1 \n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		if err := decode(text, &v); err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := decode(again, &back); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
