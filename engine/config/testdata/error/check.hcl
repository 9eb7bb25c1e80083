mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "none" {
  port = 80
  endpoint {
    address = "10.9.0.1"
  }
  check {} # ERROR: Check needs tcp, http or grpc
}
service "both" {
  port = 80
  endpoint {
    address = "10.9.0.2"
  }
  check { # ERROR: Check needs tcp, http or grpc
    tcp  = true
    http = "/healthz"
  }
}
service "off" {
  port = 80
  endpoint {
    address = "10.9.0.3"
  }
  check {
    tcp      = false # ERROR: Check by nothing
    interval = "5"   # ERROR: Invalid interval
    timeout  = "2s"  # ERROR: Invalid timeout
    fall     = 0     # ERROR: Invalid fall
    rise     = 101   # ERROR: Invalid rise
  }
}
service "fast" {
  port = 80
  endpoint {
    address = "10.9.0.4"
  }
  check {
    http     = "healthz" # ERROR: Invalid path
    interval = "100ms"   # ERROR: Invalid interval
  }
}
service "slow" {
  port = 80
  endpoint {
    address = "10.9.0.5"
  }
  check {
    http     = "/health z" # ERROR: Invalid path
    interval = "2s"
    timeout  = "3s" # ERROR: Invalid timeout
  }
}
service "two" {
  port = 80
  endpoint {
    address = "10.9.0.6"
  }
  check {
    tcp = true
  }
  check { # ERROR: Duplicate check block
    tcp = true
  }
}
service "long" {
  port = 80
  endpoint {
    address = "10.9.0.7"
  }
  check {
    grpc = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" # ERROR: Invalid grpc
  }
}
service "whole" {
  port = 80
  endpoint {
    address = "10.9.0.8"
  }
  check {
    grpc = true # ERROR: Invalid grpc
  }
}
service "nightly" {
  check { # ERROR: Check without a port of the service
    tcp = true
  }
}
