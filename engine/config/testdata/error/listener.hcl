mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "billing" {
  port = 80
  listener "grpc" {
    port = 9090
  }
  listener "grpc" { # ERROR: Listener is given twice
    port = 9091
  }
  listener "admin" {
    port = 80 # ERROR: Port is given twice
  }
  listener "zero" {
    port = 0 # ERROR: Invalid port
  }
  listener "Voice" { # ERROR: Invalid listener name
    port     = 5060
    protocol = "udp" # ERROR: UDP is not proxied
  }
  listener "mail" {
    port     = 25
    protocol = "smtp" # ERROR: Unknown protocol
  }
  listener "h2c" {
    port     = 9093
    protocol = "h2c" # ERROR: Unknown protocol
  }
  listener "upper" {
    port     = 9094
    protocol = "HTTP2" # ERROR: Unknown protocol
  }
  listener "tls" {
    port     = 9095
    protocol = "https" # ERROR: Unknown protocol
  }
  listener "a123456789b123456789c123456789d123456789e123456789f123456789abc" { # ERROR: Invalid listener name
    port = 9092
  }
  endpoint {
    address = "10.9.0.4"
  }
}
service "portless" {
  port = 80
  listener "grpc" {} # ERROR: Missing required argument
}
service "users" {
  port = 80
  listener "grpc" {
    port = 9090
  }
  listener "peer" {
    port = 15008
  }
  endpoint { # ERROR: Port of meshd
    host  = "app-1"
    ports = { grcp = 9091 } # ERROR: Unknown listener
  }
  endpoint {
    address = "10.9.0.5"
    ports   = { grpc = 70000 } # ERROR: Invalid port
  }
}
service "orders" {
  port = 81
  listener "grpc" {
    port = 9091
  }
  endpoint { # ERROR: Endpoint of two services
    host  = "app-1"
    ports = { grpc = 80 }
  }
  endpoint { # ERROR: Endpoint is given twice
    host  = "app-1"
    port  = 8081
    ports = { grpc = 81 }
  }
}
service "nightly" {
  listener "grpc" { # ERROR: Listener without a port of the service
    port = 9090
  }
}
