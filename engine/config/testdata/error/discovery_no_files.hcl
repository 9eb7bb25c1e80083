discovery "static" {
  files = [] # ERROR: No files to discover from
}
resolver "billing" {}
