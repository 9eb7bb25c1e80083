router "shop" {
  route {
    match {
      path_exact = "/slow"
    }
    fault {
      delay {
        fixed_delay = "1m"
      }
    }
    destination {
      request_timeout = "300ms"
    }
  }
  route {
    destination {
      request_timeout = "5s"
      retry {
        attempts        = 2
        on              = ["connect-failure", "503"]
        per_try_timeout = "1s"
      }
    }
  }
}
