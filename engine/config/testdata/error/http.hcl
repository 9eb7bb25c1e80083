mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "db" {
  port = 5432
  http { # ERROR: HTTP of a tcp service
    hardening = "edge"
  }
  endpoint {
    host = "app-1"
  }
}
service "admin" { # one of its ports speaks it
  port = 22
  http {
    hardening = "edge"
  }
  listener "web" {
    port     = 80
    protocol = "http"
  }
  endpoint {
    host = "app-1"
    port = 2222
  }
}
service "billing" {
  port     = 80
  protocol = "http"
  http {
    hardening = "strict" # ERROR: Unknown hardening
  }
  endpoint {
    host = "app-1"
    port = 8080
  }
}
