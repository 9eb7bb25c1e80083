// Package mesh holds the nouns of a mesh: host, service, endpoint, workload, flow, identity and reason.
//
// The nouns are plain values without behaviour that needs a kernel, a socket or a file, so that every other
// package may import this one and none of them has to import another to talk about the same thing.
package mesh
