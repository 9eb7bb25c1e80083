mesh "shop" {
  domain       = "mesh"
  trust_domain = "shop.example"
}

host "app-1" {
  addresses = ["10.77.0.11", "fd77::11"]
}

host "app-2" {
  addresses = ["10.77.0.12", "fd77::12"]
}

service "billing" {
  port = 80
  workload {
    unit = "nginx.service"
  }
  endpoint {
    host = "app-2"
    port = 8080
  }
}

service "web" { # only calls others
  workload {
    unit  = "web.service"
    hosts = ["app-1"]
  }
}
