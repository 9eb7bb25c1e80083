mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "billing" {
  port     = 80
  protocol = "http"
  listener "admin" {
    port     = 81
    protocol = "http"
  }
  listener "raw" {
    port = 82
  }
  endpoint {
    host  = "app-1"
    port  = 8080
    ports = { admin = 8081, raw = 8082 }
    meta  = { version = "v1" }
  }
  endpoint {
    address = "10.9.0.5"
    meta    = { version = "v2" }
    tags    = ["blue"]
  }
}
service "reports" {
  port     = 80
  protocol = "http"
  listener "raw" { # for what the splitter of billing sends on from its own
    port = 82
  }
  endpoint {
    address = "10.9.0.6"
  }
}
service "old" { # its requests go elsewhere, so it needs no endpoint
  port     = 80
  protocol = "http"
}
service "db" {
  port = 5432
  endpoint {
    host = "app-1"
  }
}
resolver "db" {
  connect_timeout = "1s"
}
router "billing" {
  route {
    match {
      path_prefix = "/v2/"
      methods     = ["GET", "MKCOL"]
      header "X-Canary" {
        exact = "1"
      }
      header "x-internal" {
        present = true
        invert  = true
      }
      query "version" {
        regex = "v[0-9]+"
      }
    }
    destination {
      subset          = "v2"
      prefix_rewrite  = "/"
      request_timeout = "2s"
      idle_timeout    = "1m"
      retry {
        on              = ["connect-failure", "503", "refused-stream", "unavailable"]
        per_try_timeout = "500ms"
      }
      request_headers {
        set    = { x-route = "v2", a = "" }
        add    = { Via-Mesh = "shop" }
        remove = ["X-Secret"]
      }
      response_headers {
        set = { x-served-by = "billing" }
      }
    }
  }
  route {
    match {
      path_exact = "/v2"
    }
    redirect {
      path = "/v2/"
    }
  }
  route {
    match {
      path_regex = "/(health|ready)z"
    }
    respond {
      status = 200
      body   = "fine\n"
    }
  }
  route {
    match {
      path_prefix = "/reports"
    }
    destination {
      service = "reports"
    }
  }
}
splitter "billing" {
  split {
    weight = 89.99
    subset = "v1"
  }
  split {
    weight = 10
    subset = "v2"
  }
  split {
    weight  = 0.01
    service = "reports"
  }
}
resolver "billing" {
  default_subset  = "v1"
  connect_timeout = "500ms"
  load_balancer {
    policy = "round_robin"
  }
  subset "v1" {
    filter = "Service.Meta.version == v1"
  }
  subset "v2" {
    filter = "Service.Meta.version == v2 and blue in Service.Tags"
  }
  failover "v2" {
    target {
      subset = "v1"
    }
  }
  failover "*" {
    target {
      service = "reports"
    }
    target {
      subset = "v2"
    }
  }
}
resolver "old" {
  redirect {
    service = "billing"
    subset  = "v2"
  }
}
