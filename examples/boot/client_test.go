//go:build boot

package boot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const clientPath = "/usr/local/bin/client"

// client is a program written in Go, which runs on the hosts: see clientPath.
func client(args []string) int {
	var err error
	switch args[0] {
	case "lookup":
		err = lookup(args[1])
	case "load":
		err = load(args[1])
	case "crash":
		err = crash()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// lookup prints the addresses of a name. GODEBUG=netdns= says whether it is Go's resolver or that of the C library.
func lookup(name string) error {
	addresses, err := net.DefaultResolver.LookupHost(context.Background(), name)
	if err == nil {
		fmt.Println(strings.Join(addresses, " "))
	}
	return err
}

// loaded is what came of a load.
type loaded struct {
	Requests int      `json:"requests"`
	Failed   []failed `json:"failed"`
}

// failed is a request that got no answer.
type failed struct {
	Begun time.Time `json:"begun"` // before the name was looked up and the connection made
	Error string    `json:"error"`
}

// load gets a page again and again, each time with a new connection to a name that it has looked up anew, until its
// input ends. Before that it says when the first answer is there.
func load(url string) error {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	var mu sync.Mutex
	var result loaded
	begin := sync.OnceFunc(func() { fmt.Println("begun") })
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				begun := time.Now()
				err := get(url)
				mu.Lock()
				result.Requests++
				if err != nil {
					result.Failed = append(result.Failed, failed{begun, err.Error()})
				} else {
					begin()
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return json.NewEncoder(os.Stdout).Encode(result)
}

func get(url string) error {
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || string(text) != "billing of app-2\n") {
		err = fmt.Errorf("status %d, %q", answer.StatusCode, text)
	}
	return err
}

// takeClient copies the client to the host.
func (h host) takeClient(t *testing.T) {
	t.Helper()
	h.copy(t, self, clientPath, 0o755)
}
