telemetry {
  request_id = false
  access_log {
    format = "json"
    path   = "/var/log/meshd/access.log"
  }
  otlp {
    endpoint   = "https://collector.example:4318/otlp/"
    percentage = 0.05
  }
}
