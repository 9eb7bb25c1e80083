package http2

// tableSize is how large the tables of field compression may be, in both directions.
const tableSize = 4096

// entryOverhead is what a field counts for beyond its bytes (RFC 7541, 4.1).
const entryOverhead = 32

// table is what one side remembers of the fields that have passed. Their bytes lie one after the other, the oldest first.
type table struct {
	entries []entry // a ring, once it has all its length
	first   int     // the oldest
	n       int
	added   uint16 // how many there ever were, roughly
	size    int    // as RFC 7541 counts
	limit   int
	data    []byte
}

type entry struct{ from, name, value uint16 } // where it begins in data, and the lengths

// mostEntries is how many entries of no bytes a table has room for.
const mostEntries = tableSize / entryOverhead

// at returns the entry with an index, of which the newest has 1.
func (t *table) at(index int) (name, value []byte) {
	e := t.entries[(t.first+t.n-index)%mostEntries]
	value = t.data[e.from+e.name:][:e.value]
	return t.data[e.from:][:e.name], value
}

// add remembers a field, and forgets the oldest for it; one that is larger than the table empties it.
func (t *table) add(name, value []byte) {
	size := len(name) + len(value) + entryOverhead
	t.evict(t.limit - size)
	if size > t.limit {
		return
	}
	if t.entries == nil {
		t.entries = make([]entry, mostEntries)
	}
	from := len(t.data)
	t.data = append(append(t.data, name...), value...)
	t.entries[(t.first+t.n)%mostEntries] = entry{uint16(from), uint16(len(name)), uint16(len(value))}
	t.n++
	t.added++
	t.size += size
	if len(t.data) > 2*tableSize {
		t.compact()
	}
}

// compact moves the bytes to the beginning of data.
func (t *table) compact() {
	from := t.entries[t.first].from
	t.data = t.data[:copy(t.data, t.data[from:])]
	for i := range t.n {
		t.entries[(t.first+i)%mostEntries].from -= from
	}
}

// evict forgets the oldest until no more than size is left.
func (t *table) evict(size int) {
	for t.n > 0 && t.size > size {
		e := &t.entries[t.first]
		t.size -= int(e.name) + int(e.value) + entryOverhead
		t.first = (t.first + 1) % mostEntries
		t.n--
	}
	if t.n == 0 {
		t.data = t.data[:0]
	}
}

// resize changes how large the table may be.
func (t *table) resize(limit int) {
	t.limit = limit
	t.evict(limit)
}

// static is the table that everybody knows (RFC 7541, appendix A). Index 0 is none.
var static = [...]struct{ name, value []byte }{
	{},
	{[]byte(":authority"), nil},
	{[]byte(":method"), []byte("GET")},
	{[]byte(":method"), []byte("POST")},
	{[]byte(":path"), []byte("/")},
	{[]byte(":path"), []byte("/index.html")},
	{[]byte(":scheme"), []byte("http")},
	{[]byte(":scheme"), []byte("https")},
	{[]byte(":status"), []byte("200")},
	{[]byte(":status"), []byte("204")},
	{[]byte(":status"), []byte("206")},
	{[]byte(":status"), []byte("304")},
	{[]byte(":status"), []byte("400")},
	{[]byte(":status"), []byte("404")},
	{[]byte(":status"), []byte("500")},
	{[]byte("accept-charset"), nil},
	{[]byte("accept-encoding"), []byte("gzip, deflate")},
	{[]byte("accept-language"), nil},
	{[]byte("accept-ranges"), nil},
	{[]byte("accept"), nil},
	{[]byte("access-control-allow-origin"), nil},
	{[]byte("age"), nil},
	{[]byte("allow"), nil},
	{[]byte("authorization"), nil},
	{[]byte("cache-control"), nil},
	{[]byte("content-disposition"), nil},
	{[]byte("content-encoding"), nil},
	{[]byte("content-language"), nil},
	{[]byte("content-length"), nil},
	{[]byte("content-location"), nil},
	{[]byte("content-range"), nil},
	{[]byte("content-type"), nil},
	{[]byte("cookie"), nil},
	{[]byte("date"), nil},
	{[]byte("etag"), nil},
	{[]byte("expect"), nil},
	{[]byte("expires"), nil},
	{[]byte("from"), nil},
	{[]byte("host"), nil},
	{[]byte("if-match"), nil},
	{[]byte("if-modified-since"), nil},
	{[]byte("if-none-match"), nil},
	{[]byte("if-range"), nil},
	{[]byte("if-unmodified-since"), nil},
	{[]byte("last-modified"), nil},
	{[]byte("link"), nil},
	{[]byte("location"), nil},
	{[]byte("max-forwards"), nil},
	{[]byte("proxy-authenticate"), nil},
	{[]byte("proxy-authorization"), nil},
	{[]byte("range"), nil},
	{[]byte("referer"), nil},
	{[]byte("refresh"), nil},
	{[]byte("retry-after"), nil},
	{[]byte("server"), nil},
	{[]byte("set-cookie"), nil},
	{[]byte("strict-transport-security"), nil},
	{[]byte("transfer-encoding"), nil},
	{[]byte("user-agent"), nil},
	{[]byte("vary"), nil},
	{[]byte("via"), nil},
	{[]byte("www-authenticate"), nil},
}

// staticNames has the first index of each name.
var staticNames = func() map[string]int {
	names := make(map[string]int, len(static))
	for i := len(static) - 1; i > 0; i-- {
		names[string(static[i].name)] = i
	}
	return names
}()
