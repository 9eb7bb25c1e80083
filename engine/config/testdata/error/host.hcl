mesh "shop" {}
host "app-1" {
  addresses = [] # ERROR: Host without an address
}
host "-app" { # ERROR: Invalid host name
  addresses = ["app.example"] # ERROR: Invalid address
}
host "app..2" { # ERROR: Invalid host name
  addresses = ["10.0.0.22/24"] # ERROR: Invalid address
}
host "app-3" {
  addresses = ["fe80::1%eth0"] # ERROR: Unsuitable address
}
host "app-4" {
  addresses = ["0.0.0.0", "::"] # ERROR: Unsuitable address; Unsuitable address
}
host "app-5" {
  addresses = ["224.0.0.1"] # ERROR: Unsuitable address
}
host "app-6" {
  addresses = ["::ffff:127.0.0.1"] # ERROR: Unsuitable address
}
host "app-7" {
  addresses = ["244.0.0.1"] # ERROR: Unsuitable address
}
host "app-8" {
  addresses = ["10.0.0.28", "::ffff:10.0.0.28"] # ERROR: Address is given twice
}
host "app-9" {
  addresses = ["10.0.0.28"] # ERROR: Address is given twice
}
