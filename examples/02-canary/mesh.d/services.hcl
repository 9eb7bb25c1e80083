# shop.mesh:80 has two versions on one host, and one name for both.
service "shop" {
  port     = 80
  protocol = "http"
  workload {
    unit = "shop@*.service"
  }
  endpoint {
    host = "app-2"
    port = 8081
    meta = { version = "v1" }
  }
  endpoint {
    host = "app-2"
    port = 8082
    meta = { version = "v2" }
  }
}

# web only calls.
service "web" {
  workload {
    unit  = "web.service"
    hosts = ["app-1"]
  }
}
