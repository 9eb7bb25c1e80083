mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "db" {
  port = 5432
  endpoint {
    address = "10.9.0.1"
  }
}
service "db-old" {
  port = 5432
  endpoint {
    address = "10.9.0.2"
  }
}
service "site" {
  port     = 80
  protocol = "http"
  listener "raw" {
    port = 82
  }
  endpoint {
    address = "10.9.0.3"
  }
}
service "web" {
  port     = 80
  protocol = "http"
  endpoint {
    address = "10.9.0.4"
  }
}
service "nightly" {}
router "db" { # ERROR: Router of a tcp service
  route {
    destination {
      service = "web"
    }
  }
}
splitter "db" { # ERROR: Weights that are not 100 together
  split {
    weight = 50
    subset = "v1" # ERROR: Unknown subset
  }
  split {
    weight  = 20
    service = "web" # ERROR: Destination has no tcp port
  }
  split {
    weight  = 20
    service = "site" # what comes is not read by its tcp port
  }
  split {
    weight  = 5
    service = "db-old"
  }
}
splitter "db-old" {
  split { # ERROR: Splitters in a circle
    weight  = 100
    service = "db"
  }
}
splitter "site" {
  split {
    weight = 90
  }
  split {
    weight  = 10
    service = "web" # ERROR: Destination has no tcp port
  }
}
splitter "nightly" { # ERROR: Splitter of a service without a port
  split {
    weight  = 100
    service = "db"
  }
}
resolver "nightly" { # ERROR: Resolver of a service without a port
  connect_timeout = "1s"
}
resolver "db" {
  default_subset = "v9" # ERROR: Unknown subset
  load_balancer {
    policy = "ring_hash"
    hash_policy { # ERROR: Hash of requests of a tcp service
      header = "x-user"
    }
    hash_policy {
      source = true
    }
  }
  subset "v2" {
    filter = "Service.Meta.version = v2" # ERROR: Invalid filter
  }
  failover "*" {
    target {
      service = "web" # ERROR: Destination has no tcp port
    }
    target {
      subset = "v2"
    }
  }
}
resolver "db-old" {
  redirect { # ERROR: Redirects in a circle
    service = "db-old"
  }
}
resolver "site" {
  failover "*" { # for its HTTP port alone
    target {
      service = "web"
    }
  }
}
resolver "web" {
  redirect {
    service = "db" # ERROR: Destination does not speak HTTP
  }
}
