telemetry {
  access_log {}
}
