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
service "b" {
  port     = 81
  protocol = "http"
  endpoint {
    host = "app-1"
  }
}
service "c" {
  port     = 82
  protocol = "http"
  endpoint {
    host = "app-1"
  }
}
resolver "a" {
  default_subset  = "v9" # ERROR: Unknown subset
  connect_timeout = "5ms" # ERROR: Invalid connect_timeout
  subset "v1" {
    filter = "Service.Meta.version = v1" # ERROR: Invalid filter
  }
  subset "v1" {} # ERROR: Subset is given twice
  subset "V2" { # ERROR: Invalid subset name
    filter = "Service.Versoin == v2" # ERROR: Invalid filter
  }
  failover "v3" { # ERROR: Unknown subset
    target {
      service = "d" # ERROR: Unknown service
    }
  }
  failover "v1" {} # ERROR: Failover to nobody
  failover "*" {
    target {} # ERROR: Failover to itself
  }
  failover "*" {} # ERROR: Failover is given twice
}
resolver "b" {
  redirect { # ERROR: Redirect beside subsets
    service = "c"
  }
  subset "x" {}
}
resolver "c" {
  redirect { # ERROR: Redirects in a circle
    service = "b"
  }
}
