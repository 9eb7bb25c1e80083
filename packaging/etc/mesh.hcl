# The mesh, the same file on all hosts. Without a mesh block meshd runs and captures nothing. For two hosts, of which app-2
# runs nginx, remove the # from the blocks below, and name your own hosts and their addresses. Then, on each host:
#
#   meshctl validate
#   systemctl reload meshd
#   curl http://web.mesh/
#
# Other files *.hcl in this folder are read too. meshd.hcl(5) says what may stand in them.
#
# mesh "example" {
#   domain       = "mesh" # service "web" is web.mesh
#   trust_domain = "example.com"
# }
#
# host "app-1" {
#   addresses = ["192.0.2.1"]
# }
#
# host "app-2" {
#   addresses = ["192.0.2.2"]
# }
#
# service "web" {
#   port = 80 # what callers connect to
#   workload {
#     unit = "nginx.service" # the processes that are this service
#   }
#   endpoint {
#     host = "app-2"
#     port = 80 # where it listens
#   }
# }
