package state

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs a keeper until the test ends.
func run(t *testing.T, k *Keeper) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func holds(t *testing.T, path string) int {
	t.Helper()
	var v int
	if err := Read(path, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestChangesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "n.state")
		var value, asked atomic.Int64
		k := NewKeeper(Config{Path: path, Log: slog.New(slog.DiscardHandler), Now: func() any {
			asked.Add(1)
			return value.Load()
		}})
		stop := run(t, k)
		for range 100 {
			value.Add(1)
			k.Changed()
			time.Sleep(interval / 21)
		}
		synctest.Wait()
		if n := asked.Load(); n != 5 {
			t.Errorf("100 changes in less than 5 s were written %d times, want 5", n)
		}
		value.Store(1000) // of which nobody tells
		stop()
		if got := holds(t, path); got != 1000 {
			t.Errorf("at the end the file holds %d", got)
		}
	})
}

func TestSameIsNotWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n.state")
	k := NewKeeper(Config{Path: path, Log: slog.New(slog.DiscardHandler), Now: func() any { return 1 }})
	k.write()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !k.write() {
		t.Error("not kept")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what the file held already was written again")
	}
}

// A folder in the place of the file stands for a disk that takes nothing.
func TestDiskThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "n.state")
		if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		k := NewKeeper(Config{Path: path, Log: slog.New(slog.DiscardHandler), Now: func() any { return 7 }})
		run(t, k)
		k.Changed()
		synctest.Wait()
		if k.Failure() == "" {
			t.Fatal("no failure")
		}
		if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retryInterval)
		synctest.Wait()
		if failure := k.Failure(); failure != "" || holds(t, path) != 7 {
			t.Errorf("afterwards: %q", failure)
		}
	})
}
