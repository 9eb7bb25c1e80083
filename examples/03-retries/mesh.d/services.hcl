# shop.mesh:80 has two endpoints, of which one is broken.
service "shop" {
  port     = 80
  protocol = "http"
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
