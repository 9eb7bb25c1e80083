package mesh

import (
	"net/netip"
	"testing"
)

func TestEndpointName(t *testing.T) {
	at := netip.MustParseAddrPort("10.9.0.5:5432")
	tests := []struct {
		endpoint Endpoint
		want     string
	}{
		{Endpoint{Host: "app-1", Address: at}, "app-1:5432"},
		{Endpoint{Address: at}, "10.9.0.5:5432"},
		{Endpoint{Hostname: "db.example.com", Address: at}, "10.9.0.5:5432"},
		{Endpoint{Hostname: "db.example.com", Address: netip.AddrPortFrom(netip.Addr{}, 5432)}, "db.example.com:5432"},
	}
	for _, tt := range tests {
		if got := tt.endpoint.Name(); got != tt.want {
			t.Errorf("%+v is called %s, want %s", tt.endpoint, got, tt.want)
		}
	}
}

func TestListenerID(t *testing.T) {
	s := &Service{Name: "billing"}
	if s.ListenerID("") != s.ID() || s.ListenerID("grpc") == s.ID() || s.ListenerID("grpc") == s.ListenerID("admin") {
		t.Error("the ports of a service do not have an id each, of which its own is the service's")
	}
}
