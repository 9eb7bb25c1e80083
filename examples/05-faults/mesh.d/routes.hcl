router "shop" {
  route {
    match {
      header "x-chaos" {
        exact = "fail"
      }
    }
    fault {
      abort {
        percentage  = 100
        http_status = 418
      }
    }
    destination {}
  }
  route {
    match {
      header "x-chaos" {
        exact = "slow"
      }
    }
    fault {
      delay {
        percentage  = 100
        fixed_delay = "100ms"
      }
    }
    destination {}
  }
}
