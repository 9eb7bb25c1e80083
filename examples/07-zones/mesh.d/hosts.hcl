mesh "shop" {
  trust_domain = "shop.example"
}

host "app-1" {
  addresses = ["10.77.0.11", "fd77::11"]
  zone      = "eu-1a"
}

host "app-2" {
  addresses = ["10.77.0.12", "fd77::12"]
  zone      = "eu-1b"
}

host "app-3" {
  addresses = ["10.77.0.13", "fd77::13"]
  zone      = "eu-1c"
}
