# shop.mesh:80 is in use, shop-next.mesh:80 is to be.
service "shop" {
  port     = 80
  protocol = "http"
  workload {
    unit = "shop.service"
  }
  endpoint {
    host = "app-2"
    port = 8081
  }
}

service "shop-next" {
  port     = 80
  protocol = "http"
  workload {
    unit = "shop-next.service"
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
