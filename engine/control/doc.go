// Package control is how tools talk to a running meshd: HTTP and JSON over one Unix socket.
//
// The law of the calls is that of the tools that make them: a noun reads (GET) and never changes anything, a verb
// changes (POST). Whoever calls is known by the credentials that the kernel attached to the connection, so there are
// no tokens to keep and none to lose.
package control
