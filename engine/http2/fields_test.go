package http2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// headerField is a field as both sides of a comparison have it.
type headerField = hpack.HeaderField

// theirs decodes blocks with another's code.
type theirs struct {
	decoder *hpack.Decoder
	fields  []headerField
	size    int
}

func newTheirs() *theirs {
	d := &theirs{}
	d.decoder = hpack.NewDecoder(tableSize, func(f headerField) {
		d.size += len(f.Name) + len(f.Value) + entryOverhead
		d.fields = append(d.fields, f)
	})
	return d
}

func (d *theirs) decode(block []byte) error {
	d.fields, d.size = nil, 0
	if _, err := d.decoder.Write(block); err != nil {
		return err
	}
	return d.decoder.Close()
}

func newCoders() (*encoder, *decoder) {
	known := new(secrets)
	known.addKnown()
	e, d := &encoder{secrets: known}, &decoder{secrets: new(secrets)}
	e.limit, d.limit = tableSize, tableSize
	return e, d
}

// fieldsOf returns the fields of a list.
func fieldsOf(l *list) (fields []headerField) {
	for i := range l.fields {
		name, value := l.field(i)
		fields = append(fields, headerField{Name: string(name), Value: string(value)})
	}
	return fields
}

// checkSame compares what two decoders have got of a block.
func checkSame(t *testing.T, l *list, want []headerField) {
	t.Helper()
	got := fieldsOf(l)
	if len(got) != len(want) {
		t.Fatalf("%d fields were decoded, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Name != want[i].Name || got[i].Value != want[i].Value {
			t.Fatalf("field %d is %.100q, want %.100q", i, got[i], want[i])
		}
	}
}

// steps reads instructions from what a fuzzer has made.
type steps struct{ data []byte }

func (s *steps) more() bool { return len(s.data) > 0 }

func (s *steps) byte() int {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b)
}

func (s *steps) bytes(most int) []byte {
	n := min(s.byte()%(most+1), len(s.data))
	b := s.data[:n]
	s.data = s.data[n:]
	return b
}

// nextField makes a field; many come again and again, and some are long.
func (s *steps) nextField() headerField {
	names := []string{":path", ":status", "cookie", "authorization", "x-a", "x-b", "content-type", "grpc-timeout", "date"}
	f := headerField{Name: names[s.byte()%len(names)]}
	switch s.byte() % 4 {
	case 0:
		f.Value = string(s.bytes(20))
	case 1:
		f.Value = fmt.Sprint(s.byte() % 4)
	case 2:
		f.Value = strings.Repeat(string(rune('a'+s.byte()%26)), s.byte()*12)
	case 3:
		f.Name, f.Value = "x-"+strings.ToLower(string(s.bytes(10))), "v"
	}
	return f
}

// FuzzEncoder looks for fields that another's decoder, or ours, does not get as they were.
func FuzzEncoder(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		e, d := newCoders()
		other := newTheirs()
		var l list
		for s := (steps{data}); s.more(); {
			if s.byte()%8 == 0 {
				e.limitTable(s.byte() * 20)
			}
			block := e.begin(nil)
			var want []headerField
			for range 1 + s.byte()%6 {
				field := s.nextField()
				want = append(want, field)
				block = e.append(block, []byte(field.Name), []byte(field.Value))
			}
			if err := other.decode(block); err != nil {
				t.Fatalf("another's decoder: %v", err)
			}
			if err := d.decode(block, &l); err != nil {
				t.Fatalf("our decoder: %v", err)
			}
			checkSame(t, &l, want)
			checkSame(t, &l, other.fields)
			for _, field := range other.fields {
				if secret := e.secrets.has([]byte(field.Name)); secret && !field.Sensitive && field.Value != "" {
					t.Fatalf("the value of %s may be compressed", field.Name)
				}
			}
			if e.size > tableSize || d.size > tableSize {
				t.Fatalf("tables of %d and %d bytes", e.size, d.size)
			}
		}
	})
}

// FuzzDecoder looks for fields of another's encoder that ours does not get as they were.
func FuzzDecoder(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		_, d := newCoders()
		var block bytes.Buffer
		e := hpack.NewEncoder(&block)
		var l list
		for s := (steps{data}); s.more(); {
			if s.byte()%8 == 0 {
				e.SetMaxDynamicTableSize(uint32(s.byte() * 20))
			}
			block.Reset()
			var want []headerField
			for range 1 + s.byte()%6 {
				field := s.nextField()
				field.Sensitive = s.byte()%8 == 0
				want = append(want, field)
				if err := e.WriteField(field); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.decode(block.Bytes(), &l); err != nil {
				t.Fatalf("our decoder: %v", err)
			}
			checkSame(t, &l, want)
			for _, field := range want {
				if field.Sensitive && !d.secrets.has([]byte(field.Name)) && !staticPair(field) {
					t.Fatalf("%s was never to be compressed", field.Name)
				}
			}
		}
	})
}

// staticPair says whether a field may be sent as an index though nobody may remember it.
func staticPair(f headerField) bool {
	for i := range static {
		if string(static[i].name) == f.Name && string(static[i].value) == f.Value {
			return true
		}
	}
	return false
}

// FuzzBlocks looks for blocks that our decoder takes in another way than another's.
func FuzzBlocks(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		_, d := newCoders()
		other := newTheirs()
		var l list
		n := min(int(cut), len(data))
		for _, block := range [][]byte{data[:n], data[n:]} {
			ours, others := d.decode(block, &l), other.decode(block)
			if l.size > maxDecoded {
				return
			}
			if ours != nil {
				// Integers that are longer than need be, or larger than anything here, are refused earlier.
				// So are updates of the table behind a field, which others take while the table is empty.
				late := d.size == 0 && bytes.ContainsFunc(block, func(c rune) bool { return c&^0x1f == 0x20 })
				if others == nil && !longIntegers(block) && !late {
					t.Fatalf("we refuse what others take: %v", ours)
				}
				return
			}
			if others != nil {
				t.Fatalf("we take what others refuse: %v", others)
			}
			if !l.over {
				checkSame(t, &l, other.fields)
			}
			if l.size != other.size || d.size > tableSize {
				t.Fatalf("%d bytes of fields, want %d; a table of %d", l.size, other.size, d.size)
			}
		}
	})
}

// longIntegers says whether there may be an integer of more than five bytes.
func longIntegers(block []byte) bool {
	run := 0
	for _, c := range block {
		if run++; c < 0x80 {
			run = 0
		}
		if run >= 4 {
			return true
		}
	}
	return false
}

func BenchmarkDecode(b *testing.B) {
	fields := []headerField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/helloworld.Greeter/SayHello"},
		{Name: ":authority", Value: "greeter.mesh:50051"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
		{Name: "grpc-timeout", Value: "999m"}, {Name: "traceparent", Value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
	e, _ := newCoders()
	var first, block []byte
	for range 4 { // what comes again and again is in the table then
		first = append(first, block...)
		block = e.begin(nil)
		for i, f := range fields {
			if i >= 6 {
				block = appendText(appendText(append(block, 0), []byte(f.Name)), []byte(f.Value))
				continue
			}
			block = e.append(block, []byte(f.Name), []byte(f.Value))
		}
	}
	b.Run("ours", func(b *testing.B) {
		_, d := newCoders()
		var l list
		if err := d.decode(first, &l); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := d.decode(block, &l); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("theirs", func(b *testing.B) {
		n := 0
		d := hpack.NewDecoder(tableSize, func(f headerField) { n += len(f.Value) })
		if _, err := d.Write(first); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Write(block); err != nil {
				b.Fatal(err)
			}
		}
	})
}
