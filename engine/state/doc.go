// Package state keeps what meshd has learned in files, so that its next start is right from the first moment on, without a
// network and without a control plane.
//
// A file is one line, which names the format, its version and the SHA-256 of the rest, and then JSON. It is replaced as a
// whole or not at all. One that cannot be trusted is moved aside, where a person finds it, and is read as none.
package state
