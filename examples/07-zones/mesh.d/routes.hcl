resolver "shop" {
  failover "*" {
    zones = ["eu-1b", "eu-1c"]
  }
}
