package ctl

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/meshd/meshd/engine/config"
)

var fmtCommand = command{
	name:    "fmt",
	kind:    offline,
	args:    "FILE...",
	maxArgs: -1,
	summary: "format configuration files",
	help: `
Prints the formatted text. A FILE of - is the standard input. -check and
-diff can stand together; neither changes a file.`,
	example: "meshctl fmt -w /etc/meshd/meshd.hcl /etc/meshd/conf.d/*.hcl",
	setup: func(p *program, flags *flag.FlagSet) runner {
		f := &formatter{program: p}
		flags.BoolVar(&f.check, "check", false, "print the names of files that would change; exit with 3 if any would")
		flags.BoolVar(&f.diff, "diff", false, "print what would change")
		flags.BoolVar(&f.write, "w", false, "write the files, and print the names of those that changed")
		return func(_ context.Context, args []string) error { return f.run(args) }
	},
}

// maxFile is the greatest size of a configuration file, in bytes; meshd reads no larger one either.
const maxFile = 4 << 20

type formatter struct {
	*program
	check, diff, write bool
}

// run formats all files, those behind a wrong one too.
func (f *formatter) run(names []string) error {
	switch {
	case len(names) == 0:
		return usageError("fmt: name a file, or - for the standard input")
	case f.write && (f.check || f.diff):
		return usageError("fmt: -w changes files, -check and -diff do not: choose one")
	}
	var result error
	differs := false
	for _, name := range names {
		changed, err := f.file(name)
		differs = differs || changed
		if err == nil {
			continue
		}
		if _, shown := errors.AsType[printed](err); !shown {
			fmt.Fprintln(f.Stderr, "meshctl: "+printable(err.Error()))
		}
		result = printed(max(exitCode(err), exitCode(result)))
	}
	if result == nil && f.check && differs {
		return printed(ExitDiffers)
	}
	return result
}

// file formats one file and says whether its text changed.
func (f *formatter) file(name string) (changed bool, err error) {
	if name == "-" && f.write {
		return false, usageError("fmt: -w cannot write to the standard input")
	}
	source, err := f.read(name)
	if err != nil {
		return false, err
	}
	formatted, diagnostics := config.Format(name, source)
	if diagnostics.HasErrors() {
		if err := diagnostics.WriteText(f.Stderr, f.Width, f.IsTerminal && f.Getenv("NO_COLOR") == ""); err != nil {
			return false, fmt.Errorf("write diagnostics: %w", err)
		}
		return false, printed(ExitConfig)
	}
	changed = !bytes.Equal(source, formatted)
	if !f.check && !f.diff && !f.write {
		_, err = f.Stdout.Write(formatted)
		return changed, err
	}
	if changed && f.write {
		if err := replaceFile(name, formatted); err != nil {
			return false, fmt.Errorf("write file %s: %w", name, err)
		}
	}
	if changed && (f.check || f.write) {
		fmt.Fprintln(f.Stdout, name)
	}
	if changed && f.diff {
		_, err = f.Stdout.Write(diff.Diff(name, source, name+" (formatted)", formatted))
	}
	return changed, err
}

func (f *formatter) read(name string) ([]byte, error) {
	in := f.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		defer file.Close()
		in = file
	}
	source, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil, fmt.Errorf("%s is a folder: name its files: %s", name, filepath.Join(name, "*.hcl"))
	case err != nil:
		return nil, fmt.Errorf("read configuration: %w", err)
	case len(source) > maxFile:
		return nil, fmt.Errorf("%s is larger than 4 MiB, which no configuration file may be: is it the right file?", name)
	}
	return source, nil
}

// replaceFile gives a file a new content at once, so that a meshd which reloads in between never reads half of it.
// Owner and mode stay, and a symbolic link stays one.
func replaceFile(name string, content []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // finds nothing once the file has its new name
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(info.Mode().Perm()))
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		err = errors.Join(err, temp.Chown(int(owner.Uid), int(owner.Gid)))
	}
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), name)
}
