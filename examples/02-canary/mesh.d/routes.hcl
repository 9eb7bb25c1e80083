resolver "shop" {
  subset "v1" {
    filter = "Service.Meta.version == v1"
  }
  subset "v2" {
    filter = "Service.Meta.version == v2"
  }
}

# Who asks for the new version gets it; of all others one in ten does.
router "shop" {
  route {
    match {
      header "x-canary" {
        exact = "1"
      }
    }
    destination {
      subset = "v2"
      response_headers {
        set = { x-version = "v2" }
      }
    }
  }
  route {
    match {
      path_prefix = "/old/"
    }
    redirect {
      prefix_rewrite = "/new/"
    }
  }
}

splitter "shop" {
  split {
    weight = 90
    subset = "v1"
  }
  split {
    weight = 10
    subset = "v2"
  }
}
