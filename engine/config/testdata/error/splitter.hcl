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
service "db" {
  port = 5432
  endpoint {
    address = "10.9.0.1"
  }
}
splitter "a" { # ERROR: Weights that are not 100 together
  split {
    weight = 99.5
  }
  split {
    weight  = 0.25
    service = "b"
  }
}
splitter "b" {
  split {
    weight = -1 # ERROR: Invalid weight
    subset = "v2" # ERROR: Unknown subset
  }
  split {
    weight  = 99.995 # ERROR: Invalid weight
    service = "db" # ERROR: Destination does not speak HTTP
  }
  split { # ERROR: Splitters in a circle
    weight  = 0
    service = "a"
  }
}
splitter "aa" { # ERROR: Unknown service
  split {
    weight  = 100
    service = "c" # ERROR: Unknown service
  }
}
