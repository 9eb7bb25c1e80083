package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/control"
)

func TestOneOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if isOwned(dir) {
		t.Error("owned before anybody came")
	}
	first, err := takeOwnership(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !isOwned(dir) {
		t.Error("not owned")
	}
	_, err = takeOwnership(dir)
	if err == nil {
		t.Fatal("two own the host")
	}
	if want := fmt.Sprintf("pid %d", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("the first is not named: %v", err)
	}
	first.release()
	if isOwned(dir) {
		t.Error("still owned")
	}
	again, err := takeOwnership(dir)
	if err != nil {
		t.Fatalf("the lock outlives its owner: %v", err)
	}
	again.release()
}

// TestPortsAsAnotherUser: whether a port is taken by meshd is not guessed by who may not look at the lock.
func TestPortsAsAnotherUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	owner, err := takeOwnership(dir)
	if err != nil {
		t.Fatal(err)
	}
	status := func() (all []control.CheckStatus) {
		for _, r := range portResults(map[uint16]bool{15001: true, 15053: true}, dir) {
			all = append(all, r.Status)
		}
		return all
	}
	if got := status(); !slices.Equal(got, []control.CheckStatus{control.CheckOK}) {
		t.Errorf("as root: %v", got)
	}
	asNobody(t, func() {
		if got := status(); !slices.Equal(got, []control.CheckStatus{control.CheckWarn}) {
			t.Errorf("as a user who may not look: %v", got)
		}
		if _, err := takeOwnership(dir); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "systemctl start meshd") {
			t.Errorf("a user starts meshd: %v", err)
		}
	})
	owner.release()
	if got := status(); !slices.Equal(got, []control.CheckStatus{control.CheckFail, control.CheckFail}) {
		t.Errorf("without a meshd: %v", got)
	}
}

// asNobody runs f on a thread that has of the files what a user without privileges has.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with what it may no longer do
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}
