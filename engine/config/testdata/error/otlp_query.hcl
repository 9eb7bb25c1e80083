telemetry {
  otlp {
    endpoint = "http://me@127.0.0.1:4318/?a=b" # ERROR: Invalid endpoint
  }
}
