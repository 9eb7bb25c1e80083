package dns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// mailbox stands in an SOA for "nobody", as in the locally served zones of RFC 6303.
var mailbox = dnsmessage.MustNewName("nobody.invalid.")

// entry is what stands at a name that is answered here: at most one record of each type.
type entry struct {
	zone   dnsmessage.Name // the owner of the SOA
	exists bool            // false: there is no such name, nor any below it
	apex   bool            // the name is the zone itself
	v4, v6 netip.Addr
	port   uint16 // of a listener; 0: none
	target dnsmessage.Name
}

// find returns what stands at the name of a question. False means that the question is not ours.
func find(names Names, domain string, q dnsmessage.Question) (entry, bool) {
	name := lower(q.Name)
	rest, ok := within(name, domain)
	switch {
	case !ok:
		return outside(names, name, q)
	case rest == "":
		return entry{zone: q.Name, exists: true, apex: true}, true
	}
	return below(names, rest, last(q.Name, len(domain)), q.Name), true
}

// below returns what stands below the domain: a service, one of its listeners, or nothing.
func below(names Names, rest string, zone, name dnsmessage.Name) entry {
	e := entry{zone: zone}
	if listener, service, ok := strings.Cut(rest, "._tcp."); ok && strings.HasPrefix(listener, "_") {
		if e.port, e.exists = names.ListenerPort(service, listener[1:]); e.exists {
			e.target = last(name, len(service)+int(zone.Length))
		}
		return e
	}
	// A name above one that exists is not missing: who heard that it is may ask for none below it (RFC 8020).
	service, above := strings.CutPrefix(rest, "_tcp.")
	v4, v6, _ := names.Virtual(service)
	e.exists = v4.IsValid() || v6.IsValid()
	if !above {
		e.v4, e.v6 = v4, v6
	}
	return e
}

// outside returns what is answered of a name outside the mesh that a service has declared: its addresses, and nothing
// to the questions by which a client could learn another address. Mail, texts and the like are the resolver's to know.
func outside(names Names, name string, q dnsmessage.Question) (entry, bool) {
	switch q.Type {
	case dnsmessage.TypeHTTPS, dnsmessage.TypeSVCB:
		// A browser would take addresses and other hosts from them. For a port of its own it asks _8443._https.<name>.
		for strings.HasPrefix(name, "_") {
			_, name, _ = strings.Cut(name, ".")
		}
	case dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeALL:
	default:
		return entry{}, false
	}
	v4, v6, ok := names.Hostname(name)
	return entry{zone: q.Name, exists: true, v4: v4, v6: v6}, ok
}

// record returns the record of a type, nil when there is none.
func (e *entry) record(typ dnsmessage.Type) dnsmessage.ResourceBody {
	switch {
	case typ == dnsmessage.TypeA && e.v4.IsValid():
		return &dnsmessage.AResource{A: e.v4.As4()}
	case typ == dnsmessage.TypeAAAA && e.v6.IsValid():
		return &dnsmessage.AAAAResource{AAAA: e.v6.As16()}
	case typ == dnsmessage.TypeSRV && e.port != 0:
		return &dnsmessage.SRVResource{Port: e.port, Target: e.target}
	case typ == dnsmessage.TypeSOA && e.apex:
		return e.soa()
	case typ == dnsmessage.TypeALL: // one record set is answer enough, RFC 8482
		for _, t := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeSRV} {
			if body := e.record(t); body != nil {
				return body
			}
		}
	}
	return nil
}

func (e *entry) soa() dnsmessage.ResourceBody {
	return &dnsmessage.SOAResource{
		NS: e.zone, MBox: mailbox, Serial: 1, Refresh: 3600, Retry: 1200, Expire: 604800, MinTTL: negativeTTL,
	}
}

// within returns what stands before the domain in a name; empty for the domain itself.
func within(name, domain string) (rest string, ok bool) {
	if name == domain {
		return "", true
	}
	rest, ok = strings.CutSuffix(name, domain)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, ".")
}

// last returns the last labels of a name, of which there are n bytes without the dot at the end. They are in the
// client's case, so that they compress into the question.
func last(name dnsmessage.Name, n int) dnsmessage.Name {
	part := dnsmessage.Name{Length: uint8(n + 1)}
	copy(part.Data[:], name.Data[name.Length-part.Length:name.Length])
	return part
}
