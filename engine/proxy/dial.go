package proxy

import (
	"net"
	"time"
)

// towardsEndpoint is what notices that the host of an endpoint is gone while nothing is sent: after some two minutes. An
// endpoint that answers may be silent for as long as it likes.
//
// TCP_USER_TIMEOUT is left alone. It would end a connection sooner whose bytes get no answer, but Linux applies it as well
// to an endpoint that answers every probe and just does not read, and how long that may last is not ours to say.
var towardsEndpoint = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 5}
