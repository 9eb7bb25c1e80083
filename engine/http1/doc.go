// Package http1 reads, checks and rewrites the messages of HTTP/1.1 as bytes that its caller owns. It waits for nothing,
// reads and writes nothing itself, and allocates nothing once its slices have grown.
//
// What two programs could read differently is refused, so that no message ends for one where it goes on for the other.
// Everything else travels byte for byte.
package http1
