mesh "shop" {
  virtual_ipv4 = "10.96.0.0/24"
}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "a" {
  port         = 80
  virtual_ipv4 = "10.96.0.0" # ERROR: Unsuitable virtual_ipv4
  endpoint {
    address = "10.9.0.1"
  }
}
service "b" {
  port         = 80
  virtual_ipv4 = "10.96.0.248" # ERROR: Unsuitable virtual_ipv4
  endpoint {
    address = "10.9.0.2"
  }
}
service "c" {
  port         = 80
  virtual_ipv4 = "10.97.0.1" # ERROR: Unsuitable virtual_ipv4
  endpoint {
    address = "10.9.0.3"
  }
}
service "d" {
  port         = 80
  virtual_ipv4 = "10.96.0.247"
  virtual_ipv6 = "here" # ERROR: Unsuitable virtual_ipv6
  endpoint {
    address = "10.9.0.4"
  }
}
service "e" {
  port         = 80
  virtual_ipv4 = "10.96.0.247" # ERROR: Virtual address of two services
  endpoint {
    address = "10.9.0.5"
  }
}
