colour = "blue" # ERROR: Unsupported argument
servise "x" {} # ERROR: Unsupported block type
host {} # ERROR: Missing name for host
node "app-1" {} # ERROR: Extraneous label for node
telemetry {
  prometeus {} # ERROR: Unsupported block type
}
mesh "shop" {
  domian = "mesh" # ERROR: Unsupported argument
}
host "app-1" { # ERROR: Missing required argument
  zone = "eu-1a"
}
resolver "nobody-knows-whether-it-exists" {}
