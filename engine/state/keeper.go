package state

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// interval is how often a file is written at most, however fast things change.
	interval = time.Second
	// retryInterval is how long a disk that is full or read-only is left alone.
	retryInterval = 10 * time.Second
)

// Config says what a Keeper keeps.
type Config struct {
	Path string
	Now  func() any // what is to be kept; called by Run alone
	Log  *slog.Logger
}

// Keeper is the one writer of a file.
type Keeper struct {
	cfg     Config
	changed chan struct{}
	written [sha256.Size]byte // of what the file is known to hold
	failure atomic.Pointer[string]
}

// NewKeeper returns a keeper that writes nothing before it runs.
func NewKeeper(c Config) *Keeper {
	return &Keeper{cfg: c, changed: make(chan struct{}, 1)}
}

// Changed has the file written soon. Many changes before that are one. It does not wait.
func (k *Keeper) Changed() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Failure returns why the file cannot be written; empty when it can.
func (k *Keeper) Failure() string {
	if failure := k.failure.Load(); failure != nil {
		return *failure
	}
	return ""
}

// Run writes the file after changes until ctx ends, and then a last time. What cannot be written is tried again.
func (k *Keeper) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			k.write()
			return
		case <-k.changed:
		}
		pause := interval
		if !k.write() {
			pause = retryInterval
			k.Changed()
		}
		rest := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			rest.Stop()
		case <-rest.C:
		}
	}
}

// write writes the file unless it holds that already, and says whether it does now.
func (k *Keeper) write() bool {
	text, err := encode(k.cfg.Now())
	if sum := sha256.Sum256(text); err == nil && sum != k.written {
		if err = write(k.cfg.Path, text); err == nil {
			k.written = sum
		}
	}
	before := k.failure.Load()
	switch {
	case err != nil:
		what := err.Error()
		k.failure.Store(&what)
		if before == nil {
			k.cfg.Log.Warn("state not written", "file", k.cfg.Path, "error", err)
		}
	case before != nil:
		k.failure.Store(nil)
		k.cfg.Log.Info("state written again", "file", k.cfg.Path)
	}
	return err == nil
}
