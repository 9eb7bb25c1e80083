mesh "shop" {
  trust_domain = "shop.example"
}

host "app-1" {
  addresses = ["10.77.0.11", "fd77::11"]
}

host "app-2" {
  addresses = ["10.77.0.12", "fd77::12"]
}
