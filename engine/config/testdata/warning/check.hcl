mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "shop" {
  port     = 80
  protocol = "http"
  listener "grpc" {
    port     = 9090
    protocol = "grpc"
  }
  endpoint {
    host = "app-1"
  }
  check {
    grpc = "" # WARNING: Check of gRPC at a port of HTTP/1
  }
}
service "bytes" {
  port = 81
  endpoint {
    host = "app-1"
  }
  check {
    grpc = ""
  }
}
