# All that can be told of requests is told: metrics, a line for each, and a span for one in a hundred that are of no trace. Nobody
# listens at the collector's port, so spans are encoded and then dropped.
telemetry {
  prometheus {
    listen = "127.0.0.1:15020"
  }
  access_log {
    format = "json"
    path   = "/var/lib/meshd/access.log"
  }
  otlp {
    endpoint   = "http://127.0.0.1:4318"
    percentage = 1
  }
}
