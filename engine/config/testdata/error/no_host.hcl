mesh "shop" {} # ERROR: No host for this machine
host "app-2" {
  addresses = ["10.0.0.22"]
}
