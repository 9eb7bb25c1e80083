telemetry {
  prometheus {
    listen = "localhost:15020" # ERROR: Invalid address and port
  }
}
