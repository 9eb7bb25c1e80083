# Each is a program on app-2.
service "hello" {
  port = 80
  workload {
    unit = "nginx.service"
  }
  endpoint {
    host = "app-2"
    port = 8080
  }
}

service "cache" {
  port = 6379
  workload {
    unit = "redis.service"
  }
  endpoint {
    host = "app-2"
  }
}

service "db" {
  port = 5432
  workload {
    unit = "postgresql.service"
  }
  endpoint {
    host = "app-2"
  }
}

service "sessions" {
  port = 11211
  workload {
    unit = "memcached.service"
  }
  endpoint {
    host = "app-2"
  }
}

service "mail" {
  port = 25
  workload {
    unit = "mail.service"
  }
  endpoint {
    host = "app-2"
    port = 2525
  }
}

service "files" {
  port = 873
  workload {
    unit = "rsync.service"
  }
  endpoint {
    host = "app-2"
  }
}

service "shell" {
  port = 2222
  workload {
    unit = "ssh.service"
  }
  endpoint {
    host = "app-2"
  }
}

service "login" {
  port = 22
  workload {
    unit = "ssh.service"
  }
  endpoint {
    host = "app-2"
  }
}

service "speed" {
  port = 5201
  workload {
    unit = "iperf3.service"
  }
  endpoint {
    host = "app-2"
  }
}

# And these call them, from app-1.
service "client" {
  workload {
    unit  = "client.service"
    hosts = ["app-1"]
  }
}

service "nginx-front" {
  workload {
    unit  = "nginx-front.service"
    hosts = ["app-1"]
  }
}

service "haproxy-front" {
  workload {
    unit  = "haproxy-front.service"
    hosts = ["app-1"]
  }
}
