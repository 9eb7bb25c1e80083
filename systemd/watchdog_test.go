package systemd

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchdogInterval(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for name, tc := range map[string]struct {
		env  map[string]string
		want time.Duration
	}{
		"on":              {map[string]string{"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": me}, 3 * time.Second},
		"without pid":     {map[string]string{"WATCHDOG_USEC": "10"}, 10 * time.Microsecond},
		"for another one": {map[string]string{"WATCHDOG_USEC": "10", "WATCHDOG_PID": "1"}, 0},
		"off":             {nil, 0},
		"malformed":       {map[string]string{"WATCHDOG_USEC": "soon"}, 0},
		"negative":        {map[string]string{"WATCHDOG_USEC": "-5"}, 0},
	} {
		if got := WatchdogInterval(func(k string) string { return tc.env[k] }); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestRunWatchdogFeedsWhileHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		healthy := func() bool { asked++; return asked != 2 }
		done := make(chan struct{})
		go func() {
			defer close(done)
			RunWatchdog(ctx, NewNotifier(os.Getenv), 10*time.Second, healthy, slog.New(slog.DiscardHandler))
		}()
		time.Sleep(21 * time.Second)
		cancel()
		<-done
		if asked != 5 { // at 0, 5, 10, 15 and 20 seconds
			t.Errorf("asked %d times whether the daemon is healthy, want 5", asked)
		}
	})
}

func TestRunWatchdogWithoutInterval(t *testing.T) {
	never := func() bool { t.Error("asked"); return true }
	RunWatchdog(t.Context(), NewNotifier(os.Getenv), 0, never, slog.New(slog.DiscardHandler))
}
