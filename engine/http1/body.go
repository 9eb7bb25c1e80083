package http1

import "math"

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

	stranger   bool // who sends it may be anybody
	underscore bool // in the name of the trailer
	isStatus   bool // the trailer is grpc-status
	status     int  // of gRPC, as the trailers have said so far, and 1; 0: they have not
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

// Unread returns how many of the bytes that come next may be passed on without having been read.
func (b *Body) Unread() int64 {
	switch {
	case b.kind == LengthBody, b.kind == ChunkedBody && b.state == chunkData:
		return b.left
	case b.kind == UntilClose:
		return math.MaxInt64
	}
	return 0
}

// Advance follows n bytes of those that Unread has counted.
func (b *Body) Advance(n int) {
	switch b.kind {
	case LengthBody:
		b.left -= int64(n)
	case ChunkedBody:
		if b.left -= int64(n); b.left == 0 {
			b.state = chunkDataCR
		}
	}
}

// GRPCStatus returns the status of gRPC that the trailers of a body which is done have said, if they have.
func (b *Body) GRPCStatus() (int, bool) { return b.status - 1, b.status > 0 }

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

// Next follows the next bytes as Feed does, up to the end of one piece of the body: n bytes, in which data are those that are
// meant, most at most, and trailer those of the fields behind the last chunk, with the empty line that ends them.
func (b *Body) Next(p []byte, most int) (n int, data, trailer []byte, err error) {
	if b.kind != ChunkedBody {
		n, _, err = b.Feed(p[:min(len(p), most)])
		return n, p[:n], nil, err
	}
	for n < len(p) && b.state != chunkData && b.state < trailerStart {
		if _, err = b.chunks(p[n : n+1]); err != nil {
			return n, nil, nil, err
		}
		n++
	}
	from := n
	if b.state != chunkData {
		n, err = b.chunks(p[from:])
		return from + n, nil, p[from : from+n], err
	}
	n = int(min(b.left, int64(min(len(p)-from, most))))
	data = p[from : from+n]
	_, err = b.chunks(data)
	return from + n, data, nil, err
}
