node {}
capture {
  mode = "mesh"
  fail = "closed"
  include {
    units = ["web*.service", "app.slice"]
  }
  exclude {
    ports = []
    cidrs = ["10.8.0.0/16", "fd00::/8"]
    units = ["backup.service"]
    users = ["postgres", "998"]
  }
}
telemetry {
  prometheus {
    listen = "[::1]:9100"
  }
}
mesh "shop" {
  domain       = "svc.shop"
  datacenter   = "eu-1"
  trust_domain = "shop.example"
  virtual_ipv4 = "10.96.0.0/16"
  virtual_ipv6 = "fd00:96::/96"
}
host "db-1.example.com" {
  addresses = ["::ffff:10.0.0.22"]
}
host "app-1" {
  addresses = ["10.0.0.21", "fd00::21"]
  zone      = "eu-1a"
}
service "web_front" {
  port         = 80
  protocol     = "tcp"
  virtual_ipv4 = "10.96.0.80"
  virtual_ipv6 = "fd00:96::80"
  workload {
    unit = "nginx.service"
    user = "www-data"
  }
  workload {
    cgroup = "/machine.slice/web-*"
  }
  endpoint {
    host   = "app-1"
    port   = 8080
    weight = 3
    tags   = ["blue", "fast"]
    meta   = { version = "v1", build = 7 }
  }
}
service "database" {
  port = 5432
  endpoint {
    host = "db-1.example.com"
  }
  endpoint {
    address = "10.9.0.5"
    port    = 15001
  }
  endpoint {
    address = "fd00::21"
  }
}
service "nightly" {
  workload {
    unit  = "nightly.service"
    hosts = ["app-1"]
  }
  workload {
    user  = "1001"
    hosts = ["*"]
  }
}
resolver "web_front" {
  load_balancer {
    policy = "round_robin"
  }
}
resolver "database" {}
