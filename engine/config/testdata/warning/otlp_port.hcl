telemetry {
  otlp {
    endpoint = "http://127.0.0.1:4317" # WARNING: Port of OTLP over gRPC
  }
}
