capture {
  exclude {
    ports = "ssh" # ERROR: Unsuitable value type
  }
}
mesh "shop" {
  domain = var.domain # ERROR: Variables not allowed
}
host "app-1" {
  addresses = [null] # ERROR: Unsuitable value type
}
service "billing" {
  port = 80.5 # ERROR: Unsuitable value type
  endpoint {
    host = "app-1"
  }
}
service "web" {
  port = env("PORT") # ERROR: Function calls not allowed
}
