mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
  zone      = "eu-1a"
}

service "a" {
  port = 80
  endpoint {
    host = "app-1"
  }
}
resolver "a" {
  failover "*" {
    zones = ["eu-1a", "eu-1x"] # WARNING: Zone without an endpoint
  }
}
