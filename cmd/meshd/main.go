// Command meshd is the daemon of a service mesh for plain Linux hosts, and under its other name, meshctl, its tool.
package main

import (
	"os"

	"github.com/meshd/meshd/cmd/daemon"
)

func main() {
	os.Exit(daemon.Main(os.Args))
}
