package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NameLink is a network link that carries no traffic: systemd-resolved knows routing domains only of links.
//
// The link is a TUN device, which lives as long as its descriptor. So it is gone with whoever holds that, however they
// end, and with it what resolved was told; and while the service manager stores the descriptor, both stay.
type NameLink struct {
	file  *os.File
	index int
	addr  netip.Addr
}

const (
	// NameLinkName is the name of the link, and of its descriptor where the service manager stores it.
	NameLinkName = "meshd0"
	// nameLinkAlias marks a link as ours, for people and for RemoveNameLink.
	nameLinkAlias = "meshd: names for systemd-resolved"
	// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h: the link gets no IPv6 addresses by itself.
	addrGenModeNone = 1
)

var (
	// ErrForeignLink says that the name of the link is taken by one that is not ours.
	ErrForeignLink = errors.New("there is a link " + NameLinkName + " that is not of meshd")
	// ErrNoTun says that this host lets meshd make no such link.
	ErrNoTun = errors.New("no /dev/net/tun")
	// errLinkGone says that somebody has removed the link.
	errLinkGone = errors.New("the link " + NameLinkName + " is gone")
)

// OpenNameLink makes the link, or takes over the one behind a descriptor of that name which the process before has
// stored; the descriptor is closed when it is none. The address, which is to be one of loopback that nothing else uses,
// is given to the link, since resolved asks no server of a link without one.
func OpenNameLink(stored *os.File, addr netip.Addr) (*NameLink, error) {
	l := &NameLink{addr: addr}
	if stored != nil {
		if name, err := tunName(stored); err == nil && name == NameLinkName {
			l.file = stored
			if err := l.Keep(); err == nil {
				return l, nil
			}
		}
		stored.Close()
	}
	if err := l.make(); err != nil {
		return nil, err
	}
	if err := l.Keep(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *NameLink) make() error {
	if link, err := netlink.LinkByName(NameLinkName); err == nil {
		if link.Attrs().Alias != nameLinkAlias {
			return fmt.Errorf("%w: its type is %s", ErrForeignLink, link.Type())
		}
		if _, err := RemoveNameLink(false); err != nil { // of a meshd whose descriptor somebody holds
			return err
		}
	}
	file, err := os.OpenFile("/dev/net/tun", os.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return ErrNoTun
	case err != nil:
		return fmt.Errorf("make link %s: %w", NameLinkName, err)
	}
	if err := makeTun(file); err != nil {
		file.Close()
		return fmt.Errorf("make link %s: %w", NameLinkName, err)
	}
	l.file = file
	return nil
}

// makeTun makes a TUN device of the name and ties it to the descriptor.
//
// Its index is one that no other link has. A resolved of another network namespace, which may be the one behind a bus
// that is shared, then does not know it, where a usual index would be that of a link of its own.
func makeTun(file *os.File) error {
	ifreq, err := unix.NewIfreq(NameLinkName)
	if err != nil {
		return err
	}
	ifreq.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
	return controlFile(file, func(fd int) error {
		index := 1<<20 + rand.IntN(1<<20)
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETIFINDEX, index); err != nil {
			return err
		}
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifreq)
	})
}

// tunName returns the name of the device behind a descriptor.
func tunName(file *os.File) (name string, err error) {
	ifreq, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	err = controlFile(file, func(fd int) error { return unix.IoctlIfreq(fd, unix.TUNGETIFF, ifreq) })
	return ifreq.Name(), err
}

func controlFile(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(err, controlErr)
}

// Index returns the number of the link.
func (l *NameLink) Index() int { return l.index }

// File returns what holds the link. It belongs to the link.
func (l *NameLink) File() *os.File { return l.file }

// Close gives the link up. It stays while the service manager stores its descriptor.
func (l *NameLink) Close() error { return l.file.Close() }

// Keep puts back what others have changed of the link. An error means that there is a new one to be made.
func (l *NameLink) Keep() error {
	name, err := tunName(l.file)
	if err != nil || name != NameLinkName {
		return errLinkGone
	}
	link, err := netlink.LinkByName(NameLinkName)
	if err != nil {
		return fmt.Errorf("%w: %w", errLinkGone, err)
	}
	attrs := link.Attrs()
	l.index = attrs.Index
	var errs []error
	if attrs.Alias != nameLinkAlias {
		errs = append(errs,
			netlink.LinkSetAlias(link, nameLinkAlias),
			netlink.LinkSetTxQLen(link, 1), // nobody reads what is sent to it
			withIPv6(netlink.LinkSetIP6AddrGenMode(link, addrGenModeNone)))
	}
	if attrs.Flags&net.FlagMulticast != 0 {
		errs = append(errs, netlink.LinkSetMulticastOff(link))
	}
	if attrs.Flags&net.FlagUp == 0 {
		errs = append(errs, netlink.LinkSetUp(link))
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: l.addr.AsSlice(), Mask: net.CIDRMask(l.addr.BitLen(), l.addr.BitLen())}, Scope: unix.RT_SCOPE_UNIVERSE}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	errs = append(errs, err)
	if !slices.ContainsFunc(addrs, addr.Equal) {
		errs = append(errs, netlink.AddrReplace(link, addr))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("set up link %s: %w", NameLinkName, err)
	}
	return nil
}

// withIPv6 is err on a host that has IPv6; one without needs nothing set for it.
func withIPv6(err error) error {
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// RemoveNameLink removes a link of ours that a process which is gone has left, or with dry says only whether there is
// one.
func RemoveNameLink(dry bool) (had bool, err error) {
	link, err := netlink.LinkByName(NameLinkName)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for link %s: %w", NameLinkName, err)
	}
	if link.Attrs().Alias != nameLinkAlias || dry {
		return link.Attrs().Alias == nameLinkAlias, nil
	}
	if err := netlink.LinkDel(link); err != nil {
		return true, fmt.Errorf("remove link %s: %w", NameLinkName, err)
	}
	return true, nil
}
