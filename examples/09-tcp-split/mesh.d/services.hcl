# cache.mesh:6379 has two versions on one host, and one name for both. Its protocol is tcp: nobody reads what is said.
service "cache" {
  port = 6379
  workload {
    unit = "cache@*.service"
  }
  endpoint {
    host = "app-2"
    port = 6381
    meta = { version = "v1" }
  }
  endpoint {
    host = "app-2"
    port = 6382
    meta = { version = "v2" }
  }
}

service "cache-spare" {
  port = 6379
  workload {
    unit = "cache-spare.service"
  }
  endpoint {
    host = "app-2"
    port = 6383
  }
}

# web only calls.
service "web" {
  workload {
    unit  = "web.service"
    hosts = ["app-1"]
  }
}
