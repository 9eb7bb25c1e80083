capture {
  mode = "off"
}
telemetry {
  prometheus {
    listen = ""
  }
}
