# Of ten connections one goes to the new version, and to the spare cache while the new version is down.
splitter "cache" {
  split {
    weight = 90
    subset = "v1"
  }
  split {
    weight = 10
    subset = "v2"
  }
}

resolver "cache" {
  subset "v1" {
    filter = "Service.Meta.version == v1"
  }
  subset "v2" {
    filter = "Service.Meta.version == v2"
  }
  failover "v2" {
    target {
      service = "cache-spare"
    }
  }
}
