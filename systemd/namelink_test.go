package systemd

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

var linkAddr = netip.MustParseAddr("127.15.0.53")

// joinNewNetns moves the test to a thread in a network namespace of its own; the thread ends with the test.
func joinNewNetns(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	made, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(netns.Set(before), before.Close(), made.Close()); err != nil {
			t.Error(err) // and the thread stays locked, so that nothing else runs in the wrong namespace
			return
		}
		runtime.UnlockOSThread()
	})
}

func openNameLink(t *testing.T, stored *os.File) *NameLink {
	t.Helper()
	l, err := OpenNameLink(stored, linkAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// hasNameLink says whether the link is there, as resolved wants it.
func hasNameLink(t *testing.T) bool {
	t.Helper()
	link, err := netlink.LinkByName(NameLinkName)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	a := link.Attrs()
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	if a.Alias != nameLinkAlias || a.RawFlags&up != up || a.Flags&net.FlagMulticast != 0 || a.TxQLen != 1 {
		t.Errorf("the link is %+v", a)
	}
	if len(addrs) != 1 || addrs[0].IPNet.String() != "127.15.0.53/32" || addrs[0].Scope != unix.RT_SCOPE_UNIVERSE {
		t.Errorf("its addresses are %v", addrs)
	}
	return true
}

func duplicate(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// The link is there as long as somebody holds it, which is what ends it with a meshd that was killed.
func TestNameLinkLives(t *testing.T) {
	joinNewNetns(t)
	first := openNameLink(t, nil)
	if !hasNameLink(t) || first.Index() < 1<<20 {
		t.Fatalf("no link, or an index that another one may have: %d", first.Index())
	}
	store := duplicate(t, first.File()) // as the service manager does
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if !hasNameLink(t) {
		t.Fatal("the link has not outlived its process")
	}
	second := openNameLink(t, store)
	if second.Index() != first.Index() {
		t.Error("the link was not taken over but made anew")
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if hasNameLink(t) {
		t.Error("a link that nobody holds stays")
	}
}

func TestNameLinkKept(t *testing.T) {
	joinNewNetns(t)
	l := openNameLink(t, nil)
	link, err := netlink.LinkByIndex(l.Index())
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]error{
		"down": netlink.LinkSetDown(link), "no address": netlink.AddrDel(link, &addrs[0]), "alias": netlink.LinkSetAlias(link, "mine"),
	} {
		if harm != nil {
			t.Fatal(name, harm)
		}
	}
	if err := l.Keep(); err != nil || !hasNameLink(t) {
		t.Errorf("not put back: %v", err)
	}
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	if err := l.Keep(); !errors.Is(err, errLinkGone) {
		t.Errorf("a link that was removed: %v", err)
	}
	other := openNameLink(t, l.File()) // of a device that is gone
	if !hasNameLink(t) || other.Index() == l.Index() {
		t.Error("the link was not made anew")
	}
}

func TestNameLinkOfOthers(t *testing.T) {
	joinNewNetns(t)
	foreign := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: NameLinkName}}
	if err := netlink.LinkAdd(foreign); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenNameLink(nil, linkAddr); !errors.Is(err, ErrForeignLink) {
		t.Errorf("a link of somebody else: %v", err)
	}
	if had, err := RemoveNameLink(false); had || err != nil {
		t.Errorf("removed a link of somebody else: %v, %v", had, err)
	}
	if err := netlink.LinkDel(foreign); err != nil {
		t.Fatal("it was removed:", err)
	}

	old := openNameLink(t, nil) // of a meshd whose descriptor somebody holds
	if l := openNameLink(t, nil); !hasNameLink(t) || l.Index() == old.Index() {
		t.Error("a link of ours that cannot be taken over was not made anew")
	}
	for _, c := range []struct{ dry, had bool }{{true, true}, {false, true}, {false, false}} {
		if had, err := RemoveNameLink(c.dry); had != c.had || err != nil {
			t.Errorf("remove, dry %v: %v, %v, want %v", c.dry, had, err, c.had)
		}
	}
}
