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
service "db" {
  port = 5432
  endpoint {
    address = "10.9.0.1"
  }
}
resolver "a" {
  load_balancer {
    policy = "maglev" # ERROR: Hash of nothing
    ring_hash { # ERROR: Block of another policy
      minimum_ring_size = 1 # ERROR: Invalid minimum_ring_size
      maximum_ring_size = 8388609 # ERROR: Invalid maximum_ring_size
    }
    least_request { # ERROR: Block of another policy
      choice_count = 1 # ERROR: Invalid choice_count
    }
  }
}
resolver "b" {
  load_balancer {
    hash_policy { # ERROR: Hash policy without effect
      header = ":authority" # ERROR: Invalid header name
    }
  }
}
resolver "c" {
  load_balancer {
    policy = "ring_hash"
    hash_policy {} # ERROR: One thing to hash is needed
    hash_policy { # ERROR: One thing to hash is needed
      header = "x"
      query  = "" # ERROR: Query without a name
    }
    hash_policy {
      source = false # ERROR: Invalid source
    }
    hash_policy {
      cookie {
        name = "a b" # ERROR: Invalid cookie name
        path = "/;x" # ERROR: Invalid path; Path of no cookie
      }
    }
    hash_policy {
      cookie {
        name = "id"
        ttl  = "8761h" # ERROR: Invalid ttl
        path = "x" # ERROR: Invalid path
      }
    }
  }
}
resolver "db" {
  load_balancer {
    policy = "maglev"
    hash_policy { # ERROR: Hash of requests of a tcp service
      header = "x-user"
    }
  }
}
