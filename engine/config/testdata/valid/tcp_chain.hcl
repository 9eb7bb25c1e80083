mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "db" {
  port = 5432
  listener "admin" {
    port = 5433
  }
  endpoint {
    host  = "app-1"
    ports = { admin = 9000 }
    meta  = { version = "v1" }
  }
  endpoint {
    address = "10.9.0.5"
    meta    = { version = "v2" }
  }
}
service "db-next" {
  port = 5432
  endpoint {
    address = "10.9.0.6"
  }
}
service "db-old" { # its connections go elsewhere, so it needs no endpoint
  port = 5432
}
splitter "db" {
  split {
    weight = 90
    subset = "v1"
  }
  split {
    weight = 9.99
    subset = "v2"
  }
  split {
    weight  = 0.01
    service = "db-next"
  }
}
resolver "db" {
  default_subset  = "v1"
  connect_timeout = "500ms"
  load_balancer {
    policy = "maglev"
    hash_policy {
      source = true
    }
  }
  outlier_detection {
    consecutive_5xx = 3
  }
  subset "v1" {
    filter = "Service.Meta.version == v1"
  }
  subset "v2" {
    filter = "Service.Meta.version == v2"
  }
  failover "v2" {
    target {
      subset = "v1"
    }
  }
  failover "*" {
    target {
      service = "db-next"
    }
  }
}
resolver "db-old" {
  redirect {
    service = "db"
    subset  = "v2"
  }
}
