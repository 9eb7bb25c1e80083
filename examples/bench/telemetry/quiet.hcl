# Nobody is told anything.
telemetry {
  prometheus {
    listen = ""
  }
}
