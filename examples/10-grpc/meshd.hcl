# The same file on both hosts: what differs between them, their names and addresses, is in the host blocks.
node {}

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
