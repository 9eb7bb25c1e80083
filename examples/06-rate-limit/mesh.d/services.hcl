# shop.mesh:80 takes only so much from each caller.
service "shop" {
  port     = 80
  protocol = "http"
  workload {
    unit = "shop.service"
  }
  rate_limit {
    requests_per_second = 1
    requests_max_burst  = 5
    per                 = "source"
  }
  rate_limit {
    requests_per_second = 1000
  }
  endpoint {
    host = "app-2"
    port = 8081
  }
}

# web only calls.
service "web" {
  workload {
    unit  = "web.service"
    hosts = ["app-1"]
  }
}
