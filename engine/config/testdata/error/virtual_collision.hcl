mesh "shop" {
  virtual_ipv4 = "10.96.0.0/24"
}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "images" {
  port = 80
  endpoint {
    address = "10.9.0.1"
  }
}
service "search" { # ERROR: Virtual address of service "search" collides
  port = 80
  endpoint {
    address = "10.9.0.2"
  }
}
service "web" {
  port = 80
  endpoint {
    address = "10.9.0.3"
  }
}
service "cart" { # ERROR: Virtual address of service "cart" collides
  port = 80
  endpoint {
    address = "10.9.0.4"
  }
}
service "neighbour" { # has the address after that of web
  port         = 80
  virtual_ipv4 = "10.96.0.240"
  endpoint {
    address = "10.9.0.5"
  }
}
