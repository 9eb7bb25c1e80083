mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "billing" {
  port = 80
  endpoint {
    host = "app-1"
  }
  workload {} # ERROR: Workload without a condition
  workload {
    unit = "billing" # ERROR: Unit without its type
  }
  workload {
    unit = "*" # ERROR: Unit without its type
  }
  workload {
    unit = "" # ERROR: Invalid unit
  }
  workload {
    cgroup = "system.slice" # ERROR: Invalid cgroup
  }
  workload {
    cgroup = "/" # ERROR: Invalid cgroup
  }
  workload {
    user = "a:b" # ERROR: Invalid user
  }
  workload {
    user  = "www-data"
    hosts = ["app-1", "app1"] # ERROR: Unknown host
  }
}
service "nightly" {
  port = 81
  endpoint {
    address = "10.9.0.5"
  }
  workload { # ERROR: Workload would match nowhere
    unit = "nightly.service"
  }
}
