capture {
  mode = "mesh"
  fail = "open"
}

discovery "static" {
  files = ["/etc/meshd/mesh.d/*.hcl"]
}

telemetry {
  prometheus {
    listen = "127.0.0.1:15020"
  }
}
