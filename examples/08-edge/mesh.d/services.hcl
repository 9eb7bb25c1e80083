# shop.mesh:80 takes requests of whoever sends them.
service "shop" {
  port     = 80
  protocol = "http"
  workload {
    unit = "shop.service"
  }
  http {
    hardening = "edge"
  }
  endpoint {
    host = "app-2"
    port = 8081
  }
}

# stock.mesh:80 is called by programs that are known.
service "stock" {
  port     = 80
  protocol = "http"
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
