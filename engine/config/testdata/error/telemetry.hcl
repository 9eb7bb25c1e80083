telemetry {
  prometheus {
    listen = "0.0.0.0:15020" # ERROR: Metrics on an address that is not loopback
  }
}
