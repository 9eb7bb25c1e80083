// Package packaging is what the deb and the rpm are made of, and the tests that read them back.
package packaging
