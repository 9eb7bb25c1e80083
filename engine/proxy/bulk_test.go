package proxy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// longText is a body that goes through pipes.
var longText = strings.Repeat("0123456789abcdef", 3<<16) // 3 MiB

// TestLongBodies wants long bodies to arrive as they were sent, one behind the other, with pipes and when there are no more of
// them.
func TestLongBodies(t *testing.T) {
	for _, pipes := range []bool{true, false} {
		t.Run(fmt.Sprint("pipes ", pipes), func(t *testing.T) {
			if !pipes {
				pipesInUse.Add(maxPipes)
				defer pipesInUse.Add(-maxPipes)
			}
			at, connections := site(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Header.Get("Chunks") == "" {
					w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				}
				_, _ = w.Write(body)
			})
			r := httpRig(t, at)
			client := r.dial(virtual)
			in := bufio.NewReader(client)
			for _, text := range []string{longText, "short", longText + "end", longText[:longBody], longText[:longBody-1]} {
				for _, chunks := range []string{"", "Chunks: 1\r\n"} {
					done := make(chan error, 1)
					go func() {
						_, err := fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s", chunks, len(text), text)
						done <- err
					}()
					response, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(response.Body)
					if err != nil || sha256.Sum256(body) != sha256.Sum256([]byte(text)) {
						t.Fatalf("%d bytes of %d came back, %v", len(body), len(text), err)
					}
					if err := <-done; err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := connections.Load(); n != 1 {
				t.Errorf("%d connections to the endpoint", n)
			}
		})
	}
}

// TestLongBodyCutShort wants a client to see that a long answer is not whole, and the pipe to be given back.
func TestLongBodyCutShort(t *testing.T) {
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(longText)+1)
	r := httpRig(t, script(t, head+longText))
	before := pipesInUse.Load()
	client := r.dial(virtual)
	send(t, client, plain)
	if all, err := io.ReadAll(client); err == nil {
		t.Errorf("the end of %d bytes seems to be in order", len(all))
	}
	r.wantEnd(mesh.ReasonEndpointReset)
	if n := pipesInUse.Load(); n != before {
		t.Errorf("%d pipes are in use, %d before", n, before)
	}
}

// TestLongBodyUntilClose wants an answer that ends with its connection to be whole.
func TestLongBodyUntilClose(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\n\r\n"
	r := httpRig(t, script(t, head+longText))
	client := r.dial(virtual)
	send(t, client, plain)
	all, err := io.ReadAll(client)
	if _, body, _ := bytes.Cut(all, []byte("\r\n\r\n")); err != nil || string(body) != longText {
		t.Errorf("%d bytes of %d, %v", len(body), len(longText), err)
	}
	r.wantEnd(mesh.ReasonDone)
}

// TestLongBodyOfLostRequest wants what is in hand of a request to go with the endpoint that has refused it.
func TestLongBodyOfLostRequest(t *testing.T) {
	at, conns := accepting(t)
	r := httpRig(t, at)
	before := pipesInUse.Load()
	client := r.dial(virtual)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(longText)<<4, strings.Repeat(longText, 16))
	}()
	server := <-conns
	r.eventually("the request fills what is between", func() bool { return pipesInUse.Load() > before })
	reset(server)
	response, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil || response.StatusCode != 502 {
		t.Errorf("%v, %v", response, err)
	}
	client.Close()
	<-sent
	r.eventually("the pipe is given back", func() bool { return pipesInUse.Load() == before })
}
