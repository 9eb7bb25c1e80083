package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func (l *Lane) say(id string) { l.Add(&Entry{GRPC: -1, RequestID: []byte(id)}) }

func open(t *testing.T, format Format, path string) *Sink {
	t.Helper()
	s, err := OpenFile(format, path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLogToFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	l := New()
	lane := l.Lane()
	lane.say("before")
	l.Use(open(t, JSON, path))
	lane.say("one")
	l.Lane().say("two")
	l.Close()
	got := lines(t, path)
	if len(got) != 2 || !strings.Contains(got[0], `"one"`) || !strings.Contains(got[1], `"two"`) || !json.Valid([]byte(got[0])) {
		t.Errorf("the file has %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != mode {
		t.Errorf("the file has mode %v, %v; want %v", info.Mode(), err, os.FileMode(mode))
	}
	lane.say("after")
	if l.Dropped() != 0 {
		t.Errorf("%d lines dropped, want none", l.Dropped())
	}
}

// TestRotation opens the file again, after somebody has moved it away.
func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := New()
	defer l.Close()
	lane := l.Lane()
	l.Use(open(t, Text, path))
	lane.say("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	lane.say("two")
	l.Use(open(t, Text, path))
	lane.say("three")
	l.Use(nil)
	lane.say("four")
	if got := lines(t, path+".1"); len(got) != 2 || !strings.HasSuffix(got[1], "request_id=two") {
		t.Errorf("the file before has %q", got)
	}
	if got := lines(t, path); len(got) != 1 || !strings.HasSuffix(got[0], "request_id=three") {
		t.Errorf("the file after has %q", got)
	}
}

// TestStuckSink has a sink that takes nothing: nobody who logs waits for it, nor does a switch to another one.
func TestStuckSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, released := io.Pipe()
		l := New()
		lane := l.Lane()
		l.Use(NewSink(JSON, released))
		size := len(JSON.append(nil, &Entry{GRPC: -1, RequestID: []byte("x")}, &recent{}))
		const many = 3 * laneSize
		for range many/size + 1 {
			lane.say("x")
		}
		synctest.Wait()
		if dropped := l.Dropped(); dropped == 0 || dropped > many/uint64(size) {
			t.Errorf("%d lines dropped of %d, want some", dropped, many/size)
		}
		l.Use(NewSink(JSON, io.Discard))
		l.Use(NewSink(JSON, io.Discard)) // before the first of them was used
		l.Close()
		stuck.Close()
		synctest.Wait()
	})
}

// picky is a writer that fails as it is told.
type picky struct {
	mu   sync.Mutex
	got  bytes.Buffer
	most int // bytes that it takes; negative: all
}

var errFull = errors.New("no space left on device")

func (p *picky) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most < 0 {
		return p.got.Write(b)
	}
	n, _ := p.got.Write(b[:min(len(b), p.most)])
	p.most -= n
	return n, errFull
}

// TestFullDisk loses the lines that find no room, counts them, says why, and tears none of those that follow.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &picky{most: 10}
		l := New()
		defer l.Close()
		lane := l.Lane()
		l.Use(NewSink(JSON, to))
		lane.say("one")
		lane.say("two")
		l.flushed()
		if l.Dropped() != 2 || l.Failure() != errFull.Error() {
			t.Errorf("%d lines dropped for %q, want 2 for %q", l.Dropped(), l.Failure(), errFull)
		}
		to.mu.Lock()
		to.most = -1
		to.mu.Unlock()
		lane.say("three")
		l.flushed()
		if l.Failure() != "" {
			t.Errorf("it fails still: %s", l.Failure())
		}
		torn, whole, _ := strings.Cut(to.got.String(), "\n")
		if len(torn) != 10 || !json.Valid([]byte(whole)) || !strings.Contains(whole, "three") {
			t.Errorf("the file has %q", to.got.String())
		}
	})
}

// flushed waits until all lines are written.
func (l *Log) flushed() {
	l.spool.Wake()
	synctest.Wait()
}

func TestOpenFileRefuses(t *testing.T) {
	dir := t.TempDir()
	target, link, pipe := filepath.Join(dir, "target"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.WriteFile(target, nil, 0o600), os.Symlink(target, link), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, link, pipe, filepath.Join(dir, "none", "access.log"), "/dev/null"} {
		if s, err := OpenFile(JSON, path); err == nil {
			t.Errorf("%s is taken for a file", path)
			s.Close()
		}
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	l := New()
	defer l.Close()
	lane, e := l.Lane(), sample()
	l.Use(NewSink(JSON, io.Discard))
	add := func() { lane.Add(e) }
	for range 1000 { // until both buffers are as large as they get
		add()
		l.spool.Wake()
	}
	if allocs := testing.AllocsPerRun(100, add); allocs != 0 {
		t.Errorf("%v allocations a line, want none", allocs)
	}
}
