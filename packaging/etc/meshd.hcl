# What belongs to this host. All of it is in meshd.hcl(5). Check a change by: meshctl validate; apply it by:
# systemctl reload meshd
#
# meshd captures nothing before a mesh is defined. See mesh.d/mesh.hcl.

# The mesh, its hosts and services: files that are the same on all hosts.
discovery "static" {
  files = ["/etc/meshd/mesh.d/*.hcl"]
  # watch = true # apply changed files without a reload
}

# This host is the host block with its host name, short or full. Where that is another one:
#
# node {
#   name = "app-1"
# }

# What is left out here are the defaults.
#
# capture {
#   mode = "mesh" # off: connections to services are served by the kernel, without the proxy
#   fail = "open" # while meshd is dead or hung: open: the kernel picks an endpoint | closed: connection refused
#   include {
#     units = []  # not empty: only these are captured, for a rollout unit by unit
#   }
#   exclude {
#     ports = [22]
#     cidrs = []
#     units = []
#     users = []
#   }
# }
#
# dns {
#   hosts_file = false # true: names also stand in a marked block of /etc/hosts, and so outlive meshd
# }
#
# telemetry {
#   prometheus {
#     listen = "127.0.0.1:15020" # "": no metrics
#   }
# }
