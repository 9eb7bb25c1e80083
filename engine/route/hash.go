package route

import (
	"bytes"
	"math/bits"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// Hash is what the endpoint of a request or connection is chosen by, so that requests with the same one keep to one endpoint. The zero value
// chooses as if there were none.
type Hash struct {
	value  uint64
	found  bool
	Cookie *Cookie // that the answer sets, because the request has none; nil: none
	random uint64  // its value
}

// Cookie is a cookie by which clients keep to an endpoint.
type Cookie struct {
	name       string
	attributes string
}

// hashPolicy is a compiled mesh.HashPolicy.
type hashPolicy struct {
	kind     mesh.HashKind
	name     string
	terminal bool
	cookie   *Cookie // for requests that have none; nil: they stay without
}

func hashPolicies(from []mesh.HashPolicy) []hashPolicy {
	var all []hashPolicy
	for _, p := range from {
		h := hashPolicy{kind: p.Kind, name: p.Name, terminal: p.Terminal}
		if p.Kind == mesh.HashCookie && (p.TTL > 0 || p.Session) {
			h.cookie = newCookie(p)
		}
		all = append(all, h)
	}
	return all
}

func newCookie(p mesh.HashPolicy) *Cookie {
	c := &Cookie{name: p.Name, attributes: "; HttpOnly"}
	if p.Path != "" {
		c.attributes = "; Path=" + p.Path + c.attributes
	}
	if !p.Session {
		c.attributes = "; Max-Age=" + strconv.Itoa(int((p.TTL+time.Second-1)/time.Second)) + c.attributes
	}
	return c
}

// Hash returns what the endpoint of a request is chosen by. The source is the calling identity, and random a number for a
// cookie that is made up.
func (t *Target) Hash(r *Request, source string, random uint64) Hash {
	var h Hash
	for i := range t.hash {
		p := &t.hash[i]
		switch p.kind {
		case mesh.HashHeader:
			h.addFields(r.Header, p.name)
		case mesh.HashQuery:
			h.addParameter(r.Query, p.name)
		case mesh.HashCookie:
			h.addCookie(r.Header, p, random)
		case mesh.HashSource:
			h.add(hashSource(source, t.host))
		}
		if p.terminal && h.found {
			break
		}
	}
	return h
}

// HashConnection is Hash for a connection of which nothing is read: its source is hashed, whatever the policies look at.
func (t *Target) HashConnection(source string) Hash {
	if !t.Group.Hashes() {
		return Hash{}
	}
	return Hash{value: hashSource(source, t.host), found: true}
}

// Pick returns an endpoint of the target as balance.Group does, by the hash of a request if it has one.
func (t *Target) Pick(tried *balance.Tried, h *Hash) *balance.Endpoint {
	if h.found {
		return t.Group.PickHash(tried, h.value)
	}
	return t.Group.Pick(tried)
}

// hashSource is the hash of a source on a host, of which the hash is given.
func hashSource(source string, host uint64) uint64 {
	return bits.RotateLeft64(host, 1) ^ xxhash.Sum64String(source)
}

// add makes one more thing part of the hash.
func (h *Hash) add(value uint64) {
	h.value, h.found = bits.RotateLeft64(h.value, 1)^value, true
}

func (h *Hash) addFields(all Header, name string) {
	for i := 0; all != nil; i++ {
		value, ok := all.Field(name, i)
		if !ok {
			return
		}
		h.add(xxhash.Sum64(value))
	}
}

func (h *Hash) addParameter(query []byte, wanted string) {
	for len(query) > 0 {
		var name, value []byte
		if name, value, query = cutParameter(query); isDecoded(name, wanted) {
			h.add(xxhash.Sum64(value))
			return
		}
	}
}

func (h *Hash) addCookie(all Header, p *hashPolicy, random uint64) {
	for i := 0; all != nil; i++ {
		field, ok := all.Field("cookie", i)
		if !ok {
			break
		}
		if value, ok := cookieOf(field, p.name); ok {
			h.add(xxhash.Sum64(value))
			return
		}
	}
	if p.cookie == nil || h.Cookie != nil {
		return
	}
	h.Cookie, h.random = p.cookie, random
	var room [16]byte
	h.add(xxhash.Sum64(appendHex(room[:0], random))) // as it will be when the client sends it
}

// cookieOf returns the value of a cookie in a field of cookies.
func cookieOf(field []byte, wanted string) ([]byte, bool) {
	for len(field) > 0 {
		pair := field
		if end := bytes.IndexByte(field, ';'); end >= 0 {
			pair, field = field[:end], field[end+1:]
		} else {
			field = nil
		}
		pair = bytes.Trim(pair, " \t")
		if equals := bytes.IndexByte(pair, '='); equals >= 0 && string(pair[:equals]) == wanted {
			return pair[equals+1:], true
		}
	}
	return nil, false
}

// AppendSetCookie appends the value of the set-cookie field that gives a client the cookie of the hash.
func (h *Hash) AppendSetCookie(dst []byte) []byte {
	dst = append(append(dst, h.Cookie.name...), '=')
	return append(appendHex(dst, h.random), h.Cookie.attributes...)
}

// appendHex appends sixteen hexadecimal digits.
func appendHex(dst []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&15])
	}
	return dst
}
