package ctl

import (
	"errors"
	"io/fs"

	"github.com/meshd/meshd/engine/control"
)

// The exit codes of meshctl. Scripts depend on them: they do not change.
const (
	ExitOK           = 0
	ExitFailure      = 1
	ExitUsage        = 2
	ExitNotReachable = 3  // no daemon answers
	ExitDiffers      = 3  // fmt -check found a file that is not formatted
	ExitDenied       = 4  // by meshd or by the files of the host
	ExitConfig       = 78 // EX_CONFIG of sysexits.h: the configuration is wrong
)

// usageError is a mistake of the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// printed is the exit code of a failure that has been shown already.
type printed int

func (printed) Error() string { return "see above" }

func exitCode(err error) int {
	if code, ok := errors.AsType[printed](err); ok {
		return int(code)
	}
	_, isUsage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return ExitOK
	case isUsage:
		return ExitUsage
	case errors.Is(err, control.ErrNotReachable), errors.Is(err, control.ErrNoAnswer):
		return ExitNotReachable
	case errors.Is(err, control.ErrDenied), errors.Is(err, fs.ErrPermission):
		return ExitDenied
	}
	return ExitFailure
}
