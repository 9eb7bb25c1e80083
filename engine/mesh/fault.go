package mesh

import "time"

// Fault is what goes wrong on purpose with the requests of a route, so that their callers can be seen to bear it. A request
// may meet the delay and the abort, one of them, or none: each is drawn for itself.
type Fault struct {
	Delay *Delay // nil: none
	Abort *Abort // nil: none
}

// Delay has requests wait before they are sent on.
type Delay struct {
	Share int // of the requests, in hundredths of a percent
	Fixed time.Duration
}

// Abort answers requests in the place of the service.
type Abort struct {
	Share      int // of the requests, in hundredths of a percent
	HTTPStatus int // 0: GRPCStatus is the answer
	GRPCStatus int
}

// Mirror sends copies of requests to a further service, whose answers nobody sees.
type Mirror struct {
	Target
	Share int // of the requests, in hundredths of a percent
}
