package dns

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
)

func TestPauseOutlives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var p pause
		for range 20 {
			if !p.outlive(ctx, os.NewSyscallError("accept", syscall.EMFILE)) {
				t.Fatal("the loop ended over an error that passes")
			}
		}
		if p.length != maxPause {
			t.Errorf("the pause has grown to %s, want %s", p.length, maxPause)
		}
		if p.outlive(ctx, net.ErrClosed) {
			t.Error("the loop goes on although the socket is closed")
		}
		cancel()
		if p.outlive(ctx, syscall.ECONNREFUSED) {
			t.Error("the loop goes on although it was told to end")
		}
	})
}
