mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "a" {
  port     = 80
  protocol = "http"
  endpoint {
    host = "app-1"
    meta = { version = "v1" }
  }
}
service "b" {
  port     = 81
  protocol = "http"
}
router "a" {
  route {
    match {
      path_prefix = "/api"
      methods     = ["GET", "HEAD"]
    }
    destination {}
  }
  route { # WARNING: Route that no request reaches
    match {
      path_exact = "/api/x"
      methods    = ["GET"]
      header "x" {
        exact = "1"
      }
    }
    destination {}
  }
  route {
    match {
      path_prefix = "/api"
    }
    destination {
      subset         = "v2"
      prefix_rewrite = "/" # WARNING: Rewrite makes two slashes
    }
  }
  route {
    respond {
      status = 404
    }
  }
  route { # WARNING: Route that no request reaches
    match {
      path_regex = "/z"
    }
    destination {}
  }
}
router "b" {
  route {
    match {
      path_prefix = "/x"
    }
    destination {} # WARNING: Destination without an endpoint
  }
  route {
    destination {
      service = "a"
    }
  }
}
service "db" {
  port = 5432
}
splitter "db" {
  split { # WARNING: Destination without an endpoint
    weight = 100
  }
}
resolver "a" {
  subset "v2" { # WARNING: Subset without an endpoint
    filter = "Service.Meta.version == v2"
  }
}
