# hello.mesh:80 is nginx on either host.
service "hello" {
  port = 80
  workload {
    unit = "hello.service"
  }
  endpoint {
    host = "app-1"
    port = 8080
  }
  endpoint {
    host = "app-2"
    port = 8080
  }
}

# cache.mesh:6379 is a Redis with a password.
service "cache" {
  port = 6379
  workload {
    unit = "redis.service"
  }
  endpoint {
    host = "app-2"
  }
}

# stock.mesh:6380 is a Redis without one. Its protected mode refuses clients of other hosts, as it did before the mesh.
service "stock" {
  port = 6380
  workload {
    unit = "stock.service"
  }
  endpoint {
    host = "app-2"
  }
}

# web only calls the others.
service "web" {
  workload {
    unit  = "web.service"
    hosts = ["app-1"]
  }
}
