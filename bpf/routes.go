package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// RouteProtocol marks the routes of meshd: ip route show proto 153. In /etc/iproute2/rt_protos this number is free.
	RouteProtocol = 153
	// routeMetric is high, so that a route to the same addresses that a person has made is preferred.
	routeMetric = 1_000_000
)

// KeepRoutes makes the virtual addresses of these ranges unreachable in the network namespace of the caller: whatever is
// not captured fails at once, where it would leave by the default gateway. It returns how many routes were missing.
//
// Captured connections never look for a route to a virtual address. A host without IPv6 needs no routes for it.
func KeepRoutes(ranges []netip.Prefix) (missing int, err error) {
	var errs []error
	for _, r := range ranges {
		err := netlink.RouteAdd(unreachable(r))
		switch {
		case err == nil:
			missing++
		case errors.Is(err, unix.EEXIST), r.Addr().Is6() && lacksIPv6(err):
		default:
			errs = append(errs, fmt.Errorf("make %s unreachable: %w", r, err))
		}
	}
	return missing, errors.Join(errs...)
}

// ForgetRoutes removes the routes of meshd for other than these ranges, and returns the ranges of those removed.
func ForgetRoutes(except []netip.Prefix) (removed []netip.Prefix, err error) {
	all, err := Routes()
	errs := []error{err}
	for _, r := range all {
		if slices.Contains(except, r) {
			continue
		}
		if err := netlink.RouteDel(unreachable(r)); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove route of %s: %w", r, err))
			continue
		}
		removed = append(removed, r)
	}
	return removed, errors.Join(errs...)
}

// Routes returns the ranges that KeepRoutes has made unreachable in the network namespace of the caller.
func Routes() ([]netip.Prefix, error) {
	const fields = netlink.RT_FILTER_PROTOCOL | netlink.RT_FILTER_TYPE | netlink.RT_FILTER_TABLE
	filter := netlink.Route{Protocol: RouteProtocol, Type: unix.RTN_UNREACHABLE, Table: unix.RT_TABLE_MAIN}
	var all []netip.Prefix
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &filter, fields)
		if err != nil && (family == netlink.FAMILY_V4 || !lacksIPv6(err)) {
			return all, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			if addr, ok := netip.AddrFromSlice(r.Dst.IP); ok {
				bits, _ := r.Dst.Mask.Size()
				all = append(all, netip.PrefixFrom(addr, bits))
			}
		}
	}
	return all, nil
}

func unreachable(r netip.Prefix) *netlink.Route {
	return &netlink.Route{
		Dst:      &net.IPNet{IP: r.Masked().Addr().AsSlice(), Mask: net.CIDRMask(r.Bits(), r.Addr().BitLen())},
		Type:     unix.RTN_UNREACHABLE,
		Table:    unix.RT_TABLE_MAIN,
		Protocol: RouteProtocol,
		Priority: routeMetric,
	}
}

// lacksIPv6 says that a route of IPv6 cannot be made as the host has none.
func lacksIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EACCES)
}
