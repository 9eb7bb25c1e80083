mesh "Shop" {                          # ERROR: Invalid mesh name
  domain       = ".mesh"               # ERROR: Invalid domain
  datacenter   = "dc-"                 # ERROR: Invalid datacenter
  trust_domain = "shop..example"       # ERROR: Invalid trust domain
  virtual_ipv4 = "fd00::/64"           # ERROR: Unsuitable virtual_ipv4
  virtual_ipv6 = "fe80::/64"           # ERROR: Unsuitable virtual_ipv6
}
host "app-1" {
  addresses = ["10.0.0.21"]
}
service "billing" {
  port         = 80
  virtual_ipv4 = "10.96.0.1"
  endpoint {
    address = "10.9.0.1"
  }
}
