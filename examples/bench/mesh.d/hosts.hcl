mesh "bench" {
  trust_domain = "bench.example"
}

host "app-1" {
  addresses = ["10.77.0.11"]
}

host "app-2" {
  addresses = ["10.77.0.12"]
}
