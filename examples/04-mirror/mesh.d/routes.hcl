router "shop" {
  route {
    destination {
      mirror {
        service    = "shop-next"
        percentage = 100
      }
    }
  }
}
