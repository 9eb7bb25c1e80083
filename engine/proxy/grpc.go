package proxy

import (
	"strconv"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// grpcStatus returns the status of gRPC that was answered, if there was one.
func (x *exchange) grpcStatus() (int, bool) { return x.grpcCode - 1, x.grpcCode > 0 }

// saw looks for the status of gRPC in the head of an answer. It is there when nothing else is answered.
func (x *exchange) saw(data []byte, h *http1.Head) {
	if !x.grpc {
		return
	}
	if status, said := statusOf(data, h); said {
		x.sawStatus(status)
	}
}

// statusOf returns the status of gRPC that the head of an answer has, and whether it has one.
func statusOf(data []byte, h *http1.Head) ([]byte, bool) {
	i := h.Find(data, "grpc-status", 0)
	if i < 0 {
		return nil, false
	}
	_, value := h.Field(data, i)
	return value, true
}

// sawEnd looks for it in the trailers of an answer that is there to its end.
func (x *exchange) sawEnd() {
	if status, ok := x.answer.GRPCStatus(); ok && x.grpc && x.grpcCode == 0 {
		x.grpcCode = status + 1
	}
	x.assess(x.grpc)
}

func (x *exchange) sawStatus(value []byte) {
	if n, ok := parseStatus(value); ok {
		x.grpcCode = n + 1
	}
}

func parseStatus(value []byte) (int, bool) {
	n, err := strconv.ParseUint(string(value), 10, 8)
	return int(n), err == nil
}

// assess tells the balancer what the endpoint has answered, once that is known: with gRPC by the status, which most often
// stands in the trailers.
func (x *exchange) assess(known bool) {
	if !known || x.assessed || x.endpoint == nil {
		return
	}
	x.assessed = true
	code := x.code
	if status, ok := x.grpcStatus(); ok && code == 200 {
		code = codeOf(status)
	}
	x.endpoint.Status(code, x.conn.loop.now)
}

// codes are the statuses of HTTP that those of gRPC are like.
var codes = [...]int{200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401}

// codeOf returns the status of HTTP that one of gRPC is like.
func codeOf(status int) int {
	if status < len(codes) {
		return codes[status]
	}
	return 500
}

// The statuses of gRPC that meshd answers with.
const (
	grpcUnknown          = "2"
	grpcDeadlineExceeded = "4"
	grpcPermissionDenied = "7"
	grpcUnimplemented    = "12"
	grpcInternal         = "13"
	grpcUnavailable      = "14"
)

// statusFor returns the status of gRPC for what a request of HTTP is answered with.
func statusFor(code int) string {
	switch code {
	case 400:
		return grpcInternal
	case 403:
		return grpcPermissionDenied
	case 404, 405:
		return grpcUnimplemented
	case 429, 502, 503:
		return grpcUnavailable
	case 504:
		return grpcDeadlineExceeded
	}
	return grpcUnknown
}

// answerWith returns an answer of our own: to gRPC as a status of gRPC with nothing else.
func (x *exchange) answerWith(code int, why mesh.Reason) http1.Answer {
	if x.grpc {
		return grpcAnswer(statusFor(code), why)
	}
	return http1.Answer{Status: code, Body: string(why) + "\n"}
}

func grpcAnswer(status string, why mesh.Reason) http1.Answer {
	return http1.Answer{Status: 200, Fields: []http1.Field{
		{Name: "Content-Type", Value: []byte("application/grpc")},
		{Name: "Grpc-Status", Value: []byte(status)},
		{Name: "Grpc-Message", Value: []byte(why)},
	}}
}
