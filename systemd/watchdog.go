package systemd

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"time"
)

// WatchdogInterval returns how long the service manager waits for a sign of life before it kills the daemon, or 0
// when it does not watch this process.
func WatchdogInterval(getenv func(string) string) time.Duration {
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	µs, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || µs <= 0 {
		return 0
	}
	return time.Duration(µs) * time.Microsecond
}

// RunWatchdog feeds the watchdog twice in each interval for as long as healthy says so, until ctx ends. It returns
// at once when interval is 0.
//
// A daemon that is not healthy for a whole interval is killed and started anew, so healthy must not depend on
// anything that a restart does not mend.
func RunWatchdog(ctx context.Context, n *Notifier, interval time.Duration, healthy func() bool, log *slog.Logger) {
	if interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		if !healthy() {
			log.Warn("watchdog not fed, daemon is not healthy", "interval", interval)
		} else if err := n.Watchdog(); err != nil {
			log.Warn("watchdog not fed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
