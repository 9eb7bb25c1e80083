# Each is a server of HTTP on app-2, of another make.
service "httpbin" {
  port     = 80
  protocol = "http"
  workload {
    unit = "httpbin.service"
  }
  endpoint {
    host = "app-2"
    port = 8080
  }
}

service "python" {
  port     = 80
  protocol = "http"
  workload {
    unit = "python.service"
  }
  endpoint {
    host = "app-2"
    port = 8081
  }
}

service "node" {
  port     = 80
  protocol = "http"
  listener "h2" {
    port     = 81
    protocol = "http2"
  }
  workload {
    unit = "node.service"
  }
  endpoint {
    host = "app-2"
    port = 8082
    ports = { h2 = 8090 }
  }
}

service "websockets" {
  port     = 80
  protocol = "http"
  workload {
    unit = "websockets.service"
  }
  endpoint {
    host = "app-2"
    port = 8083
  }
}

service "ws" {
  port     = 80
  protocol = "http"
  workload {
    unit = "ws.service"
  }
  endpoint {
    host = "app-2"
    port = 8084
  }
}

service "nginx" {
  port     = 80
  protocol = "http"
  listener "h2" {
    port     = 81
    protocol = "http2"
  }
  workload {
    unit = "nginx.service"
  }
  endpoint {
    host = "app-2"
    port = 8085
    ports = { h2 = 8088 }
  }
}

service "haproxy" {
  port     = 80
  protocol = "http"
  listener "h2" {
    port     = 81
    protocol = "http2"
  }
  workload {
    unit = "haproxy.service"
  }
  endpoint {
    host = "app-2"
    port = 8086
    ports = { h2 = 8089 }
  }
}

service "interop" {
  port     = 80
  protocol = "grpc"
  workload {
    unit = "interop.service"
  }
  endpoint {
    host = "app-2"
    port = 8087
  }
}

# And these call them, from app-1.
service "client" {
  workload {
    unit  = "client.service"
    hosts = ["app-1"]
  }
}

service "direct" {
  workload {
    unit  = "direct.service"
    hosts = ["app-1"]
  }
}

service "nginx-front" {
  workload {
    unit  = "nginx-front.service"
    hosts = ["app-1"]
  }
}

service "haproxy-front" {
  workload {
    unit  = "haproxy-front.service"
    hosts = ["app-1"]
  }
}
