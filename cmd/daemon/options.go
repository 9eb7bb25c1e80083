package daemon

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/meshd/meshd/engine/control"
)

// options are the flags of meshd: what belongs to this process and not to the mesh. The defaults are right on a host
// with one meshd; the flags let many live on one machine.
type options struct {
	config       []string
	cgroup       string
	runDir       string
	bpfDir       string
	stateDir     string
	resolvConf   string
	outboundPort uint
	dnsPort      uint
	drain        time.Duration
	logLevel     slog.Level
	logFormat    string
	version      bool
}

const defaultBPFDir = "/sys/fs/bpf/meshd"

const usage = `meshd: a service mesh for plain Linux hosts, without sidecars.

meshd is started by its unit: systemctl start meshd. See how it is with
meshctl status, and check a configuration with meshctl validate.

`

// Flags returns the flags of meshd, for its manual page.
func Flags() *flag.FlagSet { return (&options{}).flags(io.Discard) }

// flags returns the flags that set o.
func (o *options) flags(stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("meshd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage, "Flags:\n")
		flags.PrintDefaults()
	}
	flags.Func("config", "configuration `PATH`, a file or a folder; may be given again (default /etc/meshd/meshd.hcl and /etc/meshd/conf.d)", func(path string) error {
		o.config = append(o.config, path)
		return nil
	})
	flags.StringVar(&o.cgroup, "cgroup", "", "cgroup2 `FOLDER` whose processes are captured (default: node.cgroup, else the root)")
	flags.StringVar(&o.runDir, "run-dir", filepath.Dir(control.SocketPath), "`FOLDER` of the lock and the control socket")
	flags.StringVar(&o.bpfDir, "bpf-dir", defaultBPFDir, "`FOLDER` of the pinned kernel programs")
	flags.StringVar(&o.stateDir, "state-dir", "/var/lib/meshd", "`FOLDER` of what meshd keeps for its next start")
	flags.StringVar(&o.resolvConf, "resolv-conf", "/etc/resolv.conf", "`FILE` that names the resolvers whose queries are captured")
	flags.UintVar(&o.outboundPort, "outbound-port", 15001, "`PORT` on loopback for captured connections")
	flags.UintVar(&o.dnsPort, "dns-port", 15053, "`PORT` on loopback for captured queries to the first resolver; the next seven are for further ones")
	flags.DurationVar(&o.drain, "drain", 5*time.Second, "how long a stop waits for open connections before it resets them, a `TIME`")
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "`LEVEL`: debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "text", "`FORMAT`: text or json")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	return flags
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := o.flags(stderr)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	err := errors.Join(
		checkPort("outbound-port", o.outboundPort, 0), checkPort("dns-port", o.dnsPort, 7),
		check(flags.NArg() == 0, "unexpected argument %q: meshd takes only flags; meshctl has the verbs", flags.Arg(0)),
		check(o.logFormat == "text" || o.logFormat == "json", "log-format %q: want text or json", o.logFormat),
	)
	if err != nil {
		fmt.Fprintf(stderr, "meshd: %v\n", err)
	}
	return o, err
}

func checkPort(name string, port, room uint) error {
	return check(port > 0 && port+room < 1<<16, "%s %d: want a port from 1 to %d", name, port, 1<<16-1-room)
}

func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func (o options) logger(w io.Writer, getenv func(string) string) *slog.Logger {
	to := &slog.HandlerOptions{Level: o.logLevel}
	handler := func(w io.Writer) slog.Handler {
		if o.logFormat == "json" {
			return slog.NewJSONHandler(w, to)
		}
		return slog.NewTextHandler(w, to)
	}
	if getenv("JOURNAL_STREAM") != "" {
		to.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{} // the journal has its own
			}
			return a
		}
		return slog.New(newJournalHandler(w, handler))
	}
	return slog.New(handler(w))
}
