mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "billing" {
  port                    = 80
  protocol                = "http"
  max_connections         = 500
  max_pending_requests    = 100
  max_concurrent_requests = 400
  rate_limit {
    requests_per_second = 10
    requests_max_burst  = 50
    per                 = "source"
  }
  rate_limit {
    requests_per_second = 1000
  }
  http {
    hardening = "edge"
  }
  endpoint {
    host = "app-1"
    port = 8080
  }
}
service "shadow" {
  port     = 80
  protocol = "http"
  http {
    hardening = "none"
  }
  endpoint {
    host = "app-1"
    port = 8081
  }
}
router "billing" {
  route {
    match {
      path_prefix = "/pay"
    }
    destination {
      mirror {
        service = "shadow"
      }
    }
    fault {
      delay {
        percentage  = 12.5
        fixed_delay = "250ms"
      }
      abort {
        percentage  = 0.01
        grpc_status = "UNAVAILABLE"
      }
    }
  }
  route {
    destination {
      mirror {
        service    = "shadow"
        percentage = 50
      }
    }
    fault {
      abort {
        http_status = 503
      }
    }
  }
}
service "ledger" {
  port     = 80
  protocol = "grpc"
  endpoint {
    host = "app-1"
    port = 8082
  }
  check {
    grpc = "shop.Ledger"
  }
}
service "db" {
  port = 5432
  endpoint {
    address = "10.9.0.1"
    zone    = "eu-1b"
  }
  endpoint {
    address = "10.9.0.2"
    zone    = "eu-1c"
  }
}
resolver "billing" {
  load_balancer {
    policy = "ring_hash"
    hash_policy {
      header   = "X-User"
      terminal = true
    }
    hash_policy {
      cookie {
        name = "shop"
        ttl  = "1h"
        path = "/"
      }
    }
    hash_policy {
      query = "user"
    }
    ring_hash {
      minimum_ring_size = 2048
    }
  }
  outlier_detection {
    consecutive_5xx      = 3
    base_ejection_time   = "10m"
    max_ejection_percent = 50
  }
}
resolver "shadow" {
  load_balancer {
    policy = "least_request"
    least_request {
      choice_count = 4
    }
  }
}
resolver "db" {
  connect_timeout = "1s"
  load_balancer {
    policy = "maglev"
    hash_policy {
      source = true
    }
  }
  outlier_detection {
    split_external_local_origin_errors = true
    consecutive_local_origin_failure   = 2
    enforcing_consecutive_5xx          = 0
    enforcing_success_rate             = 0
  }
  failover "*" {
    zones = ["eu-1c", "eu-1b"]
  }
}
