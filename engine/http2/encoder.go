package http2

import (
	"bytes"
	"encoding/binary"
)

// encoder encodes blocks of fields (RFC 7541). That of golang.org/x/net takes strings, which texts of messages are none of, and
// remembers fields that never come again.
//
// A field goes into the table when it comes for the second time within a while, so that those that never come again, like
// times and identifiers of requests, do not push out those that do. What only texts on their way are shorter by, Huffman's
// code, is left out: it costs both sides more time than it spares.
type encoder struct {
	table
	secrets  *secrets
	smallest int  // limit of the table since the last block; -1: it is as it was
	updates  bool // the peer is to be told of its limit

	seen  [128]uint16 // parts of hashes of fields that came lately
	pairs [128]uint16 // by hash: which entry, as counted by added, may be that field,
	names [64]uint16  // or have its name
}

// hash is a number of a text. Who finds texts that have the same has their fields compressed less.
func hash(text []byte) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := uint64(len(text))
	for ; len(text) >= 8; text = text[8:] {
		h = (h ^ binary.LittleEndian.Uint64(text)) * odd
		h ^= h >> 32
	}
	for _, c := range text {
		h = (h ^ uint64(c)) * odd
	}
	return h ^ h>>32
}

// limitTable follows what the peer says of its table.
func (e *encoder) limitTable(limit int) {
	limit = min(limit, tableSize)
	if limit == e.limit && !e.updates {
		return
	}
	if !e.updates {
		e.smallest = limit
	}
	e.smallest, e.updates = min(e.smallest, limit), true
	e.resize(limit)
}

// begin appends what must stand at the beginning of a block.
func (e *encoder) begin(dst []byte) []byte {
	if !e.updates {
		return dst
	}
	e.updates = false
	if e.smallest < e.limit {
		dst = appendInteger(dst, 0x20, 5, e.smallest)
	}
	return appendInteger(dst, 0x20, 5, e.limit)
}

// secrets are names of fields whose values must not be guessed from how long messages are, so nobody may compress them. They
// grow: whoever sends a field so wants everybody on its way to do the same (RFC 7541, 7.1.3). A name that has its bit in common
// with one of them is taken for one.
type secrets [4]uint64

func (s *secrets) add(name []byte) {
	h := hash(name)
	s[h%4] |= 1 << (h / 4 % 64)
}

func (s *secrets) has(name []byte) bool {
	h := hash(name)
	return s[h%4]&(1<<(h/4%64)) != 0
}

// addKnown adds those that are secret whoever sends them.
func (s *secrets) addKnown() {
	for _, name := range []string{"authorization", "cookie", "proxy-authorization", "set-cookie"} {
		s.add([]byte(name))
	}
}

// append appends a field, whose name is in lower case.
func (e *encoder) append(dst, name, value []byte) []byte {
	ofName := hash(name)
	ofPair := ofName*31 + hash(value)
	index, known := e.staticIndex(name, value)
	if known {
		return appendInteger(dst, 0x80, 7, index)
	}
	if e.secrets.has(name) {
		dst = appendInteger(dst, 0x10, 4, index)
		if index == 0 {
			dst = appendText(dst, name)
		}
		return appendText(dst, value)
	}
	if at := e.index(e.pairs[ofPair%uint64(len(e.pairs))]); at > 0 {
		if n, v := e.at(at); bytes.Equal(n, name) && bytes.Equal(v, value) {
			return appendInteger(dst, 0x80, 7, at+len(static)-1)
		}
	}
	if index == 0 {
		if at := e.index(e.names[ofName%uint64(len(e.names))]); at > 0 {
			if n, _ := e.at(at); bytes.Equal(n, name) {
				index = at + len(static) - 1
			}
		}
	}
	switch seen := &e.seen[ofPair%uint64(len(e.seen))]; {
	case *seen != uint16(ofPair>>32) || len(name)+len(value)+entryOverhead > e.limit/2:
		*seen = uint16(ofPair >> 32)
		dst = appendInteger(dst, 0, 4, index)
	default:
		dst = appendInteger(dst, 0x40, 6, index)
		e.add(name, value)
		e.pairs[ofPair%uint64(len(e.pairs))] = e.added
		e.names[ofName%uint64(len(e.names))] = e.added
	}
	if index == 0 {
		dst = appendText(dst, name)
	}
	return appendText(dst, value)
}

// staticIndex returns where the static table has a name, and whether it has it with that value. 0: nowhere.
func (e *encoder) staticIndex(name, value []byte) (index int, known bool) {
	index = staticNames[string(name)]
	if index == 0 {
		return 0, false
	}
	for i := index; i < len(static) && bytes.Equal(static[i].name, name); i++ {
		if bytes.Equal(static[i].value, value) {
			return i, true
		}
	}
	return index, false
}

// index returns which index the entry has that was added so and so; 0 when it is there no more. As added begins anew now and
// then, what is there may be another.
func (e *encoder) index(added uint16) int {
	if age := int(e.added - added); age < e.n {
		return age + 1
	}
	return 0
}

// appendInteger appends an integer whose first bits go into the byte with these bits, as many as prefix says.
func appendInteger(dst []byte, bits byte, prefix, value int) []byte {
	most := 1<<prefix - 1
	if value < most {
		return append(dst, bits|byte(value))
	}
	dst = append(dst, bits|byte(most))
	for value -= most; value >= 0x80; value >>= 7 {
		dst = append(dst, byte(value)|0x80)
	}
	return append(dst, byte(value))
}

func appendText[T []byte | string](dst []byte, text T) []byte {
	return append(appendInteger(dst, 0, 7, len(text)), text...)
}
