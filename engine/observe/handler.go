package observe

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves the metrics at /metrics and nothing else.
//
// A request that names the host otherwise than as localhost or by an address is refused: it comes from a browser
// whose user visits a page that has pointed its own name at 127.0.0.1.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, // more scrapers than that at once are a fault of theirs
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localName(r.Host) {
			http.Error(w, "metrics are served to localhost and to addresses only, not to "+
				"other host names: scrape 127.0.0.1 instead", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// localName says whether a Host header can not be a name that somebody else controls. None at all is fine: every
// browser sends one.
func localName(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if host == "" || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
