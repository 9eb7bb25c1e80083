// Package config turns HCL text into the nouns of package mesh.
//
// It reads configuration files and nothing else: no socket, no /proc, no other state of the machine. Validation,
// start and reload of the daemon call the same Load, so what one accepts the others accept. Everything that is wrong
// is reported in one run, each problem with its file, its line and what to write instead.
package config
