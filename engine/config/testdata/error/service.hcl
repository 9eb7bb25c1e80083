mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "host-app-1" { # ERROR: Reserved service name
  port = 80
  endpoint {
    address = "10.9.0.1"
  }
}
service "Billing" { # ERROR: Invalid service name
  port = 80
  endpoint {
    address = "10.9.0.2"
  }
}
service "billing.eu" { # ERROR: Invalid service name
  port = 80
  endpoint {
    address = "10.9.0.3"
  }
}
service "-" { # ERROR: Invalid service name
  port = 80
  endpoint {
    address = "10.9.0.4"
  }
}
service "" { # ERROR: Invalid service name
  port = 80
  endpoint {
    address = "10.9.0.5"
  }
}
service "a123456789b123456789c123456789d123456789e123456789f123456789abcd" { # ERROR: Invalid service name
  port = 80
  endpoint {
    address = "10.9.0.6"
  }
}
service "zero" {
  port = 0 # ERROR: Invalid port
  endpoint {
    host = "app-1"
  }
}
service "no-port" { # ERROR: Service without a port
  virtual_ipv4 = "244.0.0.1" # ERROR: Virtual address without a port
  endpoint {
    host = "app-1"
  }
}
service "voice" {
  port     = 5060
  protocol = "udp" # ERROR: UDP is not proxied
  endpoint {
    address = "10.9.0.7"
  }
}
service "mail" {
  port     = 25
  protocol = "smtp" # ERROR: Unknown protocol
  endpoint {
    address = "10.9.0.8"
  }
}
