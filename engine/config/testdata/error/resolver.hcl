mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "billing" { # WARNING: Service without an endpoint
  port = 80
}
resolver "biling" { # ERROR: Unknown service
  load_balancer {
    policy = "magic" # ERROR: Unknown load balancer policy
  }
}
resolver "something-else" {} # ERROR: Unknown service
