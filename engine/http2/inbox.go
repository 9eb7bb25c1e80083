package http2

// inbox is bytes that have come and were not read, in blocks of the pool.
type inbox struct {
	blocks [][]byte
	off    int // what was read of the first
}

func (b *inbox) push(p *Pool, data []byte) {
	for len(data) > 0 {
		last := len(b.blocks) - 1
		if last < 0 || len(b.blocks[last]) == blockSize {
			b.blocks = append(b.blocks, p.buffer(blockSize))
			last++
		}
		block := b.blocks[last]
		n := min(len(data), blockSize-len(block))
		b.blocks[last] = append(block, data[:n]...)
		data = data[n:]
	}
}

// pull reads as many bytes as buf has room for; there must be as many.
func (b *inbox) pull(p *Pool, buf []byte) {
	for len(buf) > 0 {
		n := copy(buf, b.blocks[0][b.off:])
		buf = buf[n:]
		if b.off += n; b.off == len(b.blocks[0]) {
			p.recycle(b.blocks[0])
			b.blocks = b.blocks[:copy(b.blocks, b.blocks[1:])]
			b.off = 0
		}
	}
}

// clear forgets everything.
func (b *inbox) clear(p *Pool) {
	for _, block := range b.blocks {
		p.recycle(block)
	}
	clear(b.blocks)
	b.blocks, b.off = b.blocks[:0], 0
}
