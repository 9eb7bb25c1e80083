mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "planned" { # WARNING: Service without an endpoint
  port = 9000
}
service "nightly" {}
