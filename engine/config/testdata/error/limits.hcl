mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "db" {
  port                    = 5432
  max_connections         = 0 # ERROR: Invalid max_connections
  max_pending_requests    = 1 # ERROR: Limit of requests of a tcp service
  max_concurrent_requests = 1 # ERROR: Limit of requests of a tcp service
  rate_limit { # ERROR: Limit of requests of a tcp service
    requests_per_second = 1
  }
  endpoint {
    host = "app-1"
  }
}
service "billing" {
  port                    = 80
  protocol                = "http"
  max_pending_requests    = 0 # ERROR: Invalid max_pending_requests
  max_concurrent_requests = 1000001 # ERROR: Invalid max_concurrent_requests
  rate_limit {
    requests_per_second = 0 # ERROR: Invalid requests_per_second
    requests_max_burst  = 0 # ERROR: Invalid requests_max_burst
  }
  rate_limit { # ERROR: Rate limit is given twice
    requests_per_second = 1
    per                 = "service"
  }
  rate_limit {
    requests_per_second = 1
    per                 = "caller" # ERROR: Unknown per
  }
  endpoint {
    host = "app-1"
  }
}
