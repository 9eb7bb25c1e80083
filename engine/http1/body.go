package http1

// Body follows the bytes of a body to its end. They travel as they came: in chunks, if they came so.
type Body struct {
	kind   BodyKind
	state  chunkState
	err    Error
	left   int64 // of the length, or of the data of a chunk
	line   int   // bytes of the line with the size of a chunk, or of all trailers
	digits int
	excess int64 // bytes that are no data, beyond what data justify

	name    [longestName]byte // the name of a trailer, as far as it could be a name that matters
	nameLen int
}

// Begin begins a body.
func (b *Body) Begin(f Framing) { *b = Body{kind: f.Kind, left: f.Length} }

// Done says whether all of the body has been followed.
func (b *Body) Done() bool {
	switch b.kind {
	case NoBody:
		return true
	case LengthBody:
		return b.left == 0
	case ChunkedBody:
		return b.state == chunkDone
	}
	return false
}

// Feed follows the next bytes that came. The first n of them belong to the body, and done says whether it ends with them.
//
// With an error the body is broken behind these n, and so must not be passed on to its end.
func (b *Body) Feed(p []byte) (n int, done bool, err error) {
	switch b.kind {
	case LengthBody:
		n = int(min(b.left, int64(len(p))))
		b.left -= int64(n)
	case UntilClose:
		n = len(p)
	case ChunkedBody:
		if n, err = b.chunks(p); err != nil {
			return n, false, err
		}
	}
	return n, b.Done(), nil
}
