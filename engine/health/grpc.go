package health

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
)

// serving is the status of grpc.health.v1.HealthCheckResponse that lets an endpoint pass; the others have names.
const serving = 1

var servingStatus = map[uint64]string{0: "UNKNOWN", serving: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

// maxMessage bounds the message of an answer, which has four bytes or so.
const maxMessage = 4 << 10

// askGRPC wants grpc.health.v1.Health/Check answered with SERVING. Both messages have one field, so they are written and read here
// and not by a library of gRPC.
func (a *asker) askGRPC(ctx context.Context, t *Target) error {
	var message []byte
	if t.Check.Name != "" {
		message = protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), t.Check.Name)
	}
	framed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	url := "http://" + t.Endpoints[0].Address.String() + "/grpc.health.v1.Health/Check"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(framed))
	if err != nil {
		return err
	}
	request.Host = t.Service
	request.Header.Set("User-Agent", "meshd")
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	answer, err := a.two.Do(request)
	if err != nil {
		return short(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the health check of gRPC is answered with %s", answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxMessage+1))
	if err != nil {
		return short(err)
	}
	if len(body) > maxMessage {
		return fmt.Errorf("the answer to the health check of gRPC has more than %d bytes", maxMessage)
	}
	// What has no message may have all it says in the head.
	status, text := answer.Trailer.Get("Grpc-Status"), answer.Trailer.Get("Grpc-Message")
	if status == "" && len(body) == 0 {
		status, text = answer.Header.Get("Grpc-Status"), answer.Header.Get("Grpc-Message")
	}
	switch {
	case status == "":
		return errors.New("the answer to the health check of gRPC has no grpc-status")
	case status != "0":
		return fmt.Errorf("the health check of gRPC is answered with grpc-status %s %q", status, text)
	}
	return judgeHealth(body)
}

// judgeHealth wants the message of an answer to say SERVING.
func judgeHealth(body []byte) error {
	if len(body) < 5 || body[0] != 0 || uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-5) {
		return errors.New("the answer to the health check of gRPC is not one whole message")
	}
	status := uint64(0)
	for message := body[5:]; len(message) > 0; {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("read the answer to the health check of gRPC: %w", protowire.ParseError(n))
		}
		message = message[n:]
		if number == 1 && kind == protowire.VarintType {
			status, n = protowire.ConsumeVarint(message)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return fmt.Errorf("read the answer to the health check of gRPC: %w", protowire.ParseError(n))
		}
		message = message[n:]
	}
	if status != serving {
		name := servingStatus[status]
		if name == "" {
			name = fmt.Sprint(status)
		}
		return fmt.Errorf("its health is %s", name)
	}
	return nil
}
