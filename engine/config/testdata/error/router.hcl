mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "billing" {
  port     = 80
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
service "nightly" {}
router "db" { # ERROR: Router of a tcp service
  route {
    destination {}
  }
}
router "biling" { # ERROR: Unknown service
  route {
    destination {}
  }
}
router "nightly" {} # ERROR: Router of a service without a port; Router without a route
router "billing" {
  route { # ERROR: Route needs one destination, redirect or respond
    match {
      path_exact = "/nothing"
    }
  }
  route { # ERROR: Route needs one destination, redirect or respond
    match {
      path_exact = "/both"
    }
    destination {}
    respond {
      status = 200
    }
  }
  route {
    match { # ERROR: Two paths in one match
      path_exact  = "/a"
      path_prefix = "/a/"
    }
    destination {
      service = "biling" # ERROR: Unknown service
    }
  }
  route {
    match {
      path_exact = "a" # ERROR: Invalid path_exact
      methods    = ["get", "CONNECT", "PUT", "PUT", "B AD"] # ERROR: Invalid method; Invalid method; Invalid method; Method is given twice
    }
    destination {
      subset = "v2" # ERROR: Unknown subset
    }
  }
  route {
    match {
      path_prefix = "/search?q=1" # ERROR: Invalid path_prefix
      header "x y" { # ERROR: Invalid header name; One comparison is needed
      }
      header "x" { # ERROR: One comparison is needed
        exact  = "1"
        prefix = "2"
      }
      header "z" {
        present = false # ERROR: Invalid present
      }
      query "" { # ERROR: Query without a name
        regex = "(" # ERROR: Invalid regex
      }
    }
    destination {
      service = "nightly" # ERROR: Destination without a port
    }
  }
  route {
    match {
      path_regex = "(((a{30}){30}){30})" # ERROR: Invalid path_regex
    }
    destination {
      service = "db" # ERROR: Destination does not speak HTTP
    }
  }
  route {
    match {
      path_regex = "/a{900}b{900}c{900}d{900}e{900}" # ERROR: Invalid path_regex
    }
    destination {
      prefix_rewrite = "/x" # ERROR: Rewrite of no prefix
    }
  }
  route {
    match {
      path_regex = "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" # ERROR: Invalid path_regex
    }
    destination {
      request_timeout = "1s"
      idle_timeout    = "0s" # ERROR: Invalid idle_timeout
      retry {
        attempts        = 11 # ERROR: Invalid attempts
        on              = ["refused", "UNAVAILABLE", "200", "0503"] # ERROR: Unknown failure; Unknown failure; Unknown failure; Unknown failure
        per_try_timeout = "2s" # ERROR: Invalid per_try_timeout
      }
      request_headers {
        set    = { Host = "x", "a b" = "", x-bad = "a\nb" } # ERROR: Header that cannot be edited; Invalid header name; Invalid header value
        remove = ["transfer-encoding"] # ERROR: Header that cannot be edited
      }
    }
  }
  route {
    match {
      path_prefix = "/c"
    }
    destination {
      prefix_rewrite = "" # ERROR: Invalid prefix_rewrite
      retry {
        on = [] # ERROR: Retry on nothing
      }
    }
  }
  route {
    match {
      path_prefix = "/d"
    }
    redirect {
      scheme         = "ftp" # ERROR: Unknown scheme
      host           = "a/b" # ERROR: Invalid host
      path           = "/e" # ERROR: Two paths in one redirect
      prefix_rewrite = "/f"
      status         = 200 # ERROR: Invalid status
    }
  }
  route {
    match {
      path_prefix = "/g"
    }
    redirect {} # ERROR: Redirect to the same place
  }
  route {
    match {
      path_prefix = "/h"
    }
    respond {
      status = 99 # ERROR: Invalid status
    }
  }
  route {
    match {
      path_prefix = "/i"
    }
    respond {
      status = 204
      body   = "x" # ERROR: Invalid body
    }
  }
}
