mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "a" {
  port     = 80
  protocol = "http"
  endpoint {
    host = "app-1"
  }
}
resolver "a" {
  redirect { # ERROR: Redirect to the service itself; Redirects in a circle
    subset = "v1" # ERROR: Unknown subset
  }
}
