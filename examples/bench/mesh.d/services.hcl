# Each has the port of its endpoint and of its line in haproxy.cfg, so that only addresses differ between contenders.
service "page" {
  port = 8080
  endpoint {
    host = "app-2"
  }
}

# site is the page, but by way of a proxy that reads HTTP.
service "site" {
  port     = 8090
  protocol = "http"
  endpoint {
    host = "app-2"
  }
}

service "calls" {
  port     = 8092
  protocol = "grpc"
  endpoint {
    host = "app-2"
  }
}

service "store" {
  port = 6379
  endpoint {
    host = "app-2"
  }
}

service "stream" {
  port = 5201
  endpoint {
    host = "app-2"
  }
}

service "echo" {
  port = 7000
  endpoint {
    host = "app-2"
  }
}

# load is who calls, from several units, because one may not have all of the connections.
service "load" {
  workload {
    unit  = "load-*.service"
    hosts = ["app-1"]
  }
}
