package systemd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mkdirDeep makes cgroups inside one another until their paths are too long for the kernel, and removes them after the
// test. It returns their ids.
func mkdirDeep(t *testing.T, parent, suffix string) (ids []uint64) {
	t.Helper()
	name := strings.Repeat("n", 250-len(suffix)) + suffix
	folder, err := unix.Open(parent, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range 18 {
		if err == nil {
			err = unix.Mkdirat(folder, name, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		above := folder
		t.Cleanup(func() {
			if err := errors.Join(unix.Unlinkat(above, name, unix.AT_REMOVEDIR), unix.Close(above)); err != nil {
				t.Error(err)
			}
		})
		var st unix.Stat_t
		folder, err = unix.Openat(above, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err := errors.Join(err, unix.Fstat(folder, &st)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, st.Ino)
	}
	if err := unix.Close(folder); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestRootTreeResolves(t *testing.T) {
	parent := newCgroup(t)
	above, host := mkdir(t, parent), mkdir(t, parent, "host")
	tree := openTree(t, filepath.Join(parent, "host"))
	run(t, tree)
	slice := mkdir(t, parent, "host/system.slice")
	web := mkdir(t, parent, "host/system.slice/web.service")
	sub := mkdir(t, parent, "host/system.slice/web.service/sub")
	lost := mkdir(t, parent, "host/system.slice/web.service/lost")
	bare := mkdir(t, parent, "host/system.slice/bare")
	plain := mkdir(t, parent, "host/plain/sub")
	outside := mkdir(t, parent, "outside.service")
	await(t, tree, map[string]uint64{
		"/": host, "/system.slice": slice, "/system.slice/web.service": web,
		"/system.slice/bare": bare, "/plain": mkdir(t, parent, "host/plain"),
	})
	// The process was in these for a moment only, and nobody has asked for them before.
	nested := mkdirDeep(t, filepath.Join(parent, "host/system.slice/web.service/sub"), "")
	for _, p := range []string{"host/system.slice/web.service/lost", "host/plain/sub"} {
		if err := os.Remove(filepath.Join(parent, p)); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		ids  []uint64
		want string // empty: unknown
	}{
		"a unit":                      {[]uint64{above, host, slice, web, 0, 0}, "/system.slice/web.service"},
		"inside a unit":               {[]uint64{above, host, slice, web, sub}, "/system.slice/web.service/sub"},
		"removed inside a unit":       {[]uint64{above, host, slice, web, lost, 0}, "/system.slice/web.service"},
		"own id behind a full list":   {[]uint64{above, host, slice, 0, web}, "/system.slice/web.service"},
		"too deep inside a unit":      {append([]uint64{above, host, slice, web, sub}, nested[17]), "/system.slice/web.service/sub"},
		"in a slice":                  {[]uint64{above, host, slice}, "/system.slice"},
		"removed in a slice":          {[]uint64{above, host, slice, 1 << 60}, ""},
		"removed in a plain folder":   {[]uint64{above, host, mkdir(t, parent, "host/plain"), plain}, ""},
		"in the root":                 {[]uint64{above, host}, "/"},
		"removed in the root":         {[]uint64{above, host, 1 << 60}, ""},
		"outside":                     {[]uint64{above, outside}, ""},
		"above the root":              {[]uint64{above}, ""},
		"nothing known of the caller": {make([]uint64, 8), ""},
	} {
		if got, ok := tree.Resolve(tc.ids); got != tc.want || ok != (tc.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, ok, tc.want)
		}
	}
}
