package proxy

import (
	"context"
	"log/slog"
	"testing"
)

// faultyLog is a log handler that fails when a connection ends.
type faultyLog struct{ slog.Handler }

func (faultyLog) Enabled(context.Context, slog.Level) bool { return true }

func (f faultyLog) Handle(_ context.Context, record slog.Record) error {
	if record.Message == "connection closed" {
		panic("a fault of the test")
	}
	return nil
}

// TestPanicInTheEnd wants a connection whose end panics to be let go of: a place is free again, and the drain ends.
func TestPanicInTheEnd(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Log, c.MaxConnections = slog.New(faultyLog{slog.DiscardHandler}), 1 }, endpoint(t, echo))
	for range 3 {
		client := r.dial(virtual)
		send(t, client, "x")
		want(t, client, "x")
		client.Close()
	}
	r.stop()
	if err := r.Drain(t.Context()); err != nil {
		t.Errorf("drain: %v", err)
	}
}
