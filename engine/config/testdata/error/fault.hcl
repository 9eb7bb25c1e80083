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
router "billing" {
  route {
    match {
      path_exact = "/a"
    }
    destination {
      mirror {} # ERROR: Mirror of nothing else
    }
    fault {} # ERROR: Fault of nothing
  }
  route {
    match {
      path_exact = "/b"
    }
    destination {
      mirror {
        service    = "shadow" # ERROR: Unknown service
        percentage = 100.5 # ERROR: Invalid percentage
      }
    }
    fault {
      delay {
        percentage  = 0.001 # ERROR: Invalid percentage
        fixed_delay = "2h" # ERROR: Invalid fixed_delay
      }
      abort {} # ERROR: Abort needs http_status or grpc_status
    }
  }
  route {
    match {
      path_exact = "/c"
    }
    destination {
      mirror {
        subset = "v2" # ERROR: Unknown subset
      }
    }
    fault {
      abort {
        grpc_status = "17" # ERROR: Unknown status of gRPC
      }
    }
  }
  route {
    match {
      path_exact = "/d"
    }
    redirect {
      path = "/e"
    }
    fault { # ERROR: Fault without a destination
      abort { # ERROR: Abort needs http_status or grpc_status
        http_status = 600 # ERROR: Invalid http_status
        grpc_status = "UNAVAILABLE"
      }
    }
  }
}
