# shop.mesh:80 is a service of gRPC with two endpoints. Its callers may speak HTTP/2 or HTTP/1.
service "shop" {
  port     = 80
  protocol = "grpc"
  workload {
    unit = "shop-*.service"
  }
  endpoint {
    host = "app-2"
    port = 8081
  }
  endpoint {
    host = "app-2"
    port = 8082
  }
}

# web only calls.
service "web" {
  workload {
    unit  = "web.service"
    hosts = ["app-1"]
  }
}
