package http1

import "testing"

// FuzzRequest looks for a request that net/http reads in another way, that comes in pieces as another one, or that is
// written as another one.
func FuzzRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		message{raw: raw}.check(t)
	})
}

// FuzzResponse looks for such a response.
func FuzzResponse(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte, to uint8) {
		message{raw: raw, response: true, to: []Method{MethodGet, MethodHead, MethodConnect}[to%3]}.check(t)
	})
}

// FuzzChunked looks for a body whose end depends on how it comes, or that net/http sees elsewhere.
func FuzzChunked(f *testing.F) {
	f.Fuzz(checkChunks)
}

// FuzzCanonicalPath looks for a path that has two canonical forms, or one that can be read in two ways.
func FuzzCanonicalPath(f *testing.F) {
	f.Fuzz(checkCanonicalPath)
}

// FuzzNext looks for a body of chunks whose pieces are others than its whole.
func FuzzNext(f *testing.F) {
	f.Fuzz(checkNext)
}
