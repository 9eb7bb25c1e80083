dns {
  hosts_file = true
}
mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
  zone      = "eu-1a"
}
service "billing" {
  port            = 80
  max_connections = 100
  listener "metrics" {
    port = 9100
  }
  listener "grpc" {
    port     = 9090
    protocol = "grpc"
  }
  endpoint {
    host  = "app-1"
    port  = 8080
    ports = { grpc = 9091, metrics = 8080 }
  }
  endpoint {
    address = "10.9.0.5"
    zone    = "eu-1b"
  }
  check {
    http     = "/healthz?deep=1"
    interval = "1s"
    fall     = 2
  }
}
service "stripe" {
  port      = 443
  hostnames = ["api.stripe.com", "files.stripe.com"]
  endpoint {
    address = "api.stripe.com"
    zone    = "far"
  }
  check {
    tcp     = true
    timeout = "500ms"
    rise    = 1
  }
}
