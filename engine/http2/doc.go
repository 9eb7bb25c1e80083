// Package http2 speaks HTTP/2 on connections that it does not own, with each stream carrying the HTTP/1.1 bytes of one
// request and of its answer.
//
// It waits for nothing, and reads and writes nothing itself: what has come from the peer is fed to a [Session], and what is
// to be sent is taken from it. It knows no clock but the time that it is told, and allocates nothing once its pool has grown.
//
// What two programs could read differently is refused. Everything else passes: the order of fields, fields that come twice,
// values of any bytes that HTTP/1.1 allows. These are lost, as HTTP/1.1 has no place for them: the scheme, priorities, and
// trailers behind a body whose length was said, unless Trailer announces them or the message is one of gRPC, whose length is
// lost instead. That a field must never be compressed is not said in HTTP/1.1 either, so a [Pool] remembers the names of those.
package http2
