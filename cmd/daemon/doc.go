// Package daemon puts meshd together: it is the only package that knows every other, and holds the adapters between
// them. Read run.go first.
package daemon
