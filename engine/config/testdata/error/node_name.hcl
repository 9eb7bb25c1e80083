node {
  name   = "app-11"        # ERROR: Unknown host
  cgroup = "system.slice/" # ERROR: Invalid cgroup folder
}
mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
