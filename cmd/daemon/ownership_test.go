package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
