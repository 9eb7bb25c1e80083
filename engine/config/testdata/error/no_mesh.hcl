host "app-1" { # ERROR: No mesh block
  addresses = ["10.0.0.21"]
}
service "billing" {
  port = 80
}
resolver "billing" {}
