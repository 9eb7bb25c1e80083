# The same endpoint of the service is reached with limits and without any, which is what all other services have.
router "python" {
  route {
    match {
      path_prefix = "/idle/"
    }
    destination {
      prefix_rewrite = "/"
      idle_timeout   = "300ms"
    }
  }
  route {
    match {
      path_prefix = "/request/"
    }
    destination {
      prefix_rewrite  = "/"
      request_timeout = "300ms"
    }
  }
}
