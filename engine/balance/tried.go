package balance

// inline is how many endpoints of a group Tried remembers without an allocation.
const inline = 256

// Tried is the endpoints that a connection has tried. Its zero value is empty.
type Tried struct {
	count int
	bits  [inline / 64]uint64
	more  []uint64 // of the endpoints from inline on
}

func (t *Tried) has(i int) bool {
	word, bit := i/64, uint64(1)<<(i%64)
	if word < len(t.bits) {
		return t.bits[word]&bit != 0
	}
	word -= len(t.bits)
	return word < len(t.more) && t.more[word]&bit != 0
}

// add adds an endpoint that is not yet in the set.
func (t *Tried) add(i int) {
	t.count++
	word, bit := i/64, uint64(1)<<(i%64)
	if word < len(t.bits) {
		t.bits[word] |= bit
		return
	}
	word -= len(t.bits)
	if word >= len(t.more) {
		t.more = append(t.more, make([]uint64, word+1-len(t.more))...)
	}
	t.more[word] |= bit
}
