dns {
  hosts_file = "maybe" # ERROR: Unsuitable value type
}
dns {} # ERROR: dns is given twice
