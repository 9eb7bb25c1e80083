node {
  name = "" # ERROR: Empty node name
}
