node {
  name   = "db-1"
  cgroup = "/sys/fs/cgroup/lab/db-1"
}
mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}
host "db-1" {
  addresses = ["10.0.0.22"]
}
