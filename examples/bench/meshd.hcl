# The same file on both hosts. Only app-1, where the callers are, runs meshd.
node {}

capture {
  mode = "mesh"
  fail = "closed" # what was not captured must not look like a fast proxy
}

discovery "static" {
  files = ["/etc/meshd/mesh.d/*.hcl"]
}
