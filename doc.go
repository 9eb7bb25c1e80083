// Package meshd holds the laws of the house as tests: who may import whom, what the binary links, how large a file may
// be, and that every configuration in the documentation is a valid one.
package meshd
