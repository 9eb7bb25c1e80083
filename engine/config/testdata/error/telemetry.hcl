telemetry {
  prometheus {
    listen = "0.0.0.0:15020" # ERROR: Metrics on an address that is not loopback
  }
  access_log {
    format = "apache"     # ERROR: Unknown format
    path   = "access.log" # ERROR: Invalid file
  }
  otlp {
    endpoint   = "127.0.0.1:4318" # ERROR: Invalid endpoint
    percentage = 101              # ERROR: Invalid percentage
  }
}
