mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21", "10.1.0.21"]
}
service "billing" {
  port = 80
  endpoint {} # ERROR: Endpoint needs a host or an address
  endpoint {  # ERROR: Endpoint needs a host or an address
    host    = "app-1"
    address = "10.9.0.5"
  }
  endpoint {
    host = "ap-1" # ERROR: Unknown host
  }
  endpoint {
    address = "127.0.0.1" # ERROR: Unsuitable address
  }
  endpoint {
    address = "10.0.0.21" # ERROR: Address of a host of the mesh
    port    = 8081
  }
  endpoint {
    address = "10.9.0.500" # ERROR: Invalid address
  }
  endpoint {
    address = "10.9.0.5:80" # ERROR: Invalid address
  }
  endpoint {
    address = "10.9.0.5"
    port    = 65536 # ERROR: Invalid port
  }
  endpoint {
    address = "10.9.0.6"
    weight  = 0 # ERROR: Invalid weight
  }
  endpoint {
    address = "10.9.0.7"
    weight  = 1001 # ERROR: Invalid weight
  }
  endpoint {
    host = "app-1"
  }
  endpoint { # ERROR: Endpoint is given twice
    host = "app-1"
    port = 80
  }
}
service "web" {
  port = 15001
  endpoint { # ERROR: Port of meshd
    host = "app-1"
  }
  endpoint { # ERROR: Endpoint of two services
    host = "app-1"
    port = 80
  }
  endpoint {
    address = "10.1.0.21"
    port    = 15060 # ERROR: Port of meshd
  }
  endpoint {
    host = "app-1"
    port = 8443
    zone = "eu-1a" # ERROR: Zone of an endpoint on a host
  }
}
service "outside" {
  port = 443
  endpoint {
    address = "app-1" # ERROR: Name of a host of the mesh
  }
  endpoint {
    address = "API.example.com" # ERROR: Unsuitable host name
  }
  endpoint {
    address = "api.example.com." # ERROR: Unsuitable host name
  }
  endpoint {
    address = "localhost" # ERROR: Unsuitable host name
  }
  endpoint {
    address = "billing.mesh" # ERROR: Unsuitable host name
  }
  endpoint {
    address = "api.example.com:443" # ERROR: Invalid address
  }
  endpoint {
    address = "api.example.com"
  }
  endpoint { # ERROR: Endpoint is given twice
    address = "api.example.com"
  }
}
service "outside-too" {
  port = 443
  endpoint { # ERROR: Endpoint of two services
    address = "api.example.com"
  }
}
