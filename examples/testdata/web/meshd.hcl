# What direct.service calls, the kernel connects by itself: what the same call gets without a proxy.
capture {
  mode = "mesh"
  fail = "open"
  exclude {
    units = ["direct.service"]
  }
}

discovery "static" {
  files = ["/etc/meshd/mesh.d/*.hcl"]
}

telemetry {
  prometheus {
    listen = "127.0.0.1:15020"
  }
}
