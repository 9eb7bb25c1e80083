package dns

import "sync"

// bufferSize holds nearly every message of DNS: 4096 is the largest payload that resolvers and clients use by default.
const bufferSize = 4096

var buffers = sync.Pool{New: func() any {
	b := make([]byte, bufferSize)
	return &b
}}

// take returns a buffer of at least size bytes. Those above the usual are left to the garbage collector.
func take(size int) *[]byte {
	if size > bufferSize {
		b := make([]byte, size)
		return &b
	}
	return buffers.Get().(*[]byte)
}

func give(b *[]byte) {
	if len(*b) == bufferSize {
		buffers.Put(b)
	}
}
