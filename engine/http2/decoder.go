package http2

import (
	"errors"

	"golang.org/x/net/http2/hpack"
)

// maxList is how large the fields of one message may be, as RFC 9113 counts: 32 bytes for each, beside its own.
const maxList = 64 << 10

// maxDecoded is how large they may be before nobody decodes them any more.
const maxDecoded = 4 * maxList

// list is the fields of a block that has been decoded.
type list struct {
	data   []byte
	fields []listed
	size   int
	over   bool // there were more than maxList
}

// listed is where a field is in the data of a list: its value follows on its name.
type listed struct{ from, name, value int }

func (l *list) reset() { l.data, l.fields, l.size, l.over = l.data[:0], l.fields[:0], 0, false }

func (l *list) field(i int) (name, value []byte) {
	f := &l.fields[i]
	return l.data[f.from:f.name], l.data[f.name:f.value]
}

// keep makes a field of what is in data behind from.
func (l *list) keep(from, name int) {
	l.size += len(l.data) - from + entryOverhead
	if l.over = l.over || l.size > maxList; l.over {
		l.data = l.data[:from]
		return
	}
	l.fields = append(l.fields, listed{from, name, len(l.data)})
}

// Write appends bytes of a field that is decoded.
func (l *list) Write(p []byte) (int, error) {
	l.data = append(l.data, p...)
	return len(p), nil
}

var (
	errCompression = errors.New("the compression of fields is broken")
	errTooMany     = errors.New("too many fields")
)

// decoder decodes blocks of fields (RFC 7541).
//
// That of golang.org/x/net makes a string of each field that is not in its table, and a client that sends times or identifiers
// sends some with each request: for the eight fields of BenchmarkDecode, two of which are such, it takes four allocations and
// twice the time. This one puts them one after the other into a list that is there. Fuzzing compares both.
type decoder struct {
	table
	secrets *secrets // is told of those that come
}

// decode replaces what is in l by the fields of a block.
func (d *decoder) decode(block []byte, l *list) (err error) {
	l.reset()
	for first := true; len(block) > 0; {
		if block[0]&0xe0 != 0x20 {
			first = false
			if block, err = d.field(block, l); err != nil {
				return err
			}
			if l.size > maxDecoded {
				return errTooMany
			}
			continue
		}
		var size int
		if size, block, err = readInteger(block, 5); err != nil || !first || size > tableSize {
			return errCompression
		}
		d.resize(size)
	}
	return nil
}

// field decodes one field.
func (d *decoder) field(block []byte, l *list) (rest []byte, err error) {
	from := len(l.data)
	if block[0]&0x80 != 0 {
		index, rest, err := readInteger(block, 7)
		if err != nil {
			return nil, err
		}
		name, value, err := d.lookup(index)
		if err != nil {
			return nil, err
		}
		l.data = append(append(l.data, name...), value...)
		l.keep(from, from+len(name))
		return rest, nil
	}
	remember, never, prefix := block[0]&0x40 != 0, block[0]&0xf0 == 0x10, 4
	if remember {
		prefix = 6
	}
	index, rest, err := readInteger(block, prefix)
	if err != nil {
		return nil, err
	}
	if index == 0 {
		rest, err = readText(rest, l)
	} else {
		var name []byte
		name, _, err = d.lookup(index)
		l.data = append(l.data, name...)
	}
	if err != nil {
		return nil, err
	}
	name := len(l.data)
	if rest, err = readText(rest, l); err != nil {
		return nil, err
	}
	switch {
	case remember:
		d.add(l.data[from:name], l.data[name:])
	case never:
		d.secrets.add(l.data[from:name])
	}
	l.keep(from, name)
	return rest, nil
}

// lookup returns what either table has at an index.
func (d *decoder) lookup(index int) (name, value []byte, err error) {
	switch {
	case index == 0 || index >= len(static)+d.n:
		return nil, nil, errCompression
	case index < len(static):
		f := &static[index]
		return f.name, f.value, nil
	}
	name, value = d.at(index - len(static) + 1)
	return name, value, nil
}

// readInteger reads an integer whose first bits are the last of the first byte, as many as prefix says.
func readInteger(block []byte, prefix int) (value int, rest []byte, err error) {
	if len(block) == 0 {
		return 0, nil, errCompression
	}
	most := 1<<prefix - 1
	if value = int(block[0]) & most; value < most {
		return value, block[1:], nil
	}
	for i := 1; i < len(block) && i <= 4; i++ { // what needs more is more than anything can be
		value += int(block[i]&0x7f) << (7 * (i - 1))
		if block[i]&0x80 == 0 {
			return value, block[i+1:], nil
		}
	}
	return 0, nil, errCompression
}

// readText appends a text to what is in l.
func readText(block []byte, l *list) (rest []byte, err error) {
	n, rest, err := readInteger(block, 7)
	if err != nil || n > len(rest) {
		return nil, errCompression
	}
	if block[0]&0x80 == 0 {
		l.data = append(l.data, rest[:n]...)
		return rest[n:], nil
	}
	if _, err := hpack.HuffmanDecode(l, rest[:n]); err != nil {
		return nil, errCompression
	}
	return rest[n:], nil
}
