capture {
  mode = "some"   # ERROR: Unknown capture mode
  fail = "closde" # ERROR: Unknown fail mode
  include {
    units = ["billing"] # ERROR: Unit without its type
  }
  exclude {
    ports = [22, 0, 65536]               # ERROR: Invalid port; Invalid port
    cidrs = [                            # ERROR: Invalid prefix; Invalid prefix; Invalid prefix
      "10.0.0.1", "10.0.0.1/8", "::ffff:10.0.0.0/104", "10.0.0.0/8",
    ]
    units = ["a/b.service", ""] # ERROR: Invalid unit; Invalid unit
    users = ["www data", ""]    # ERROR: Invalid user; Invalid user
  }
}
