mesh "shop" {
  domain = "shop.mesh"
}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "stripe" {
  port            = 443
  max_connections = 0 # ERROR: Invalid max_connections
  hostnames       = ["api.stripe.com", "api.stripe.com"] # ERROR: Host name is given twice
  endpoint {
    address = "10.9.0.1"
  }
}
service "wild" {
  port      = 443
  hostnames = ["*.stripe.com", "API.example.com", "localhost", "10.9.0.5", "-.example.com"] # ERROR: Unsuitable host name; Unsuitable host name; Unsuitable host name; Unsuitable host name; Unsuitable host name
  endpoint {
    address = "10.9.0.2"
  }
}
service "own" {
  port      = 443
  hostnames = ["own.shop.mesh", "shop.mesh", "own.mesh"] # ERROR: Unsuitable host name; Unsuitable host name
  endpoint {
    address = "10.9.0.3"
  }
}
service "other" {
  port      = 443
  hostnames = ["api.stripe.com"] # ERROR: Host name of two services
  endpoint {
    address = "10.9.0.4"
  }
}
service "nightly" {
  hostnames = ["night.example.com"] # ERROR: Host names without a port
}
