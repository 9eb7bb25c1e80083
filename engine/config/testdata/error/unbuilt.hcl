node {
  addresses = ["10.0.0.21"] # ERROR: node.addresses is not built yet
  zone      = "eu-1a"       # ERROR: node.zone is not built yet
}
capture {
  mode = "all" # ERROR: capture.mode = "all" is not built yet
}
discovery "consul" {} # ERROR: discovery "consul" is not built yet
mesh "shop" {
  mtls              = "strict"  # ERROR: mesh.mtls is not built yet
  intentions        = "enforce" # ERROR: mesh.intentions is not built yet
  default_intention = "allow"   # ERROR: mesh.default_intention is not built yet
  peer_port         = 15008     # ERROR: mesh.peer_port is not built yet
}
host "app-1" {
  addresses = ["10.0.0.21"]
  meshd     = "auto" # ERROR: host.meshd is not built yet
}
service "billing" {
  port     = 80
  protocol = "http"
  mtls     = "strict" # ERROR: service.mtls is not built yet
  listener "grpc" {
    port     = 9090
    protocol = "grpc"
    mtls     = "strict" # ERROR: service.listener.mtls is not built yet
  }
  workload {
    unit      = "billing.service"
    container = "billing" # ERROR: service.workload.container is not built yet
  }
  endpoint {
    host   = "app-1"
    port   = 8080
    listen = "127.0.0.1:8080" # ERROR: service.endpoint.listen is not built yet
  }
  check {
    tcp = true
  }
  expose { # ERROR: service.expose is not built yet
    paths = ["/metrics"]
  }
}
intention "billing" {} # ERROR: intention is not built yet
wireguard {} # ERROR: wireguard is not built yet
resolver "billing" {
  outlier_detection {
    max_ejection_time_jitter                    = "1s" # ERROR: resolver.outlier_detection.max_ejection_time_jitter is not built yet
    enforcing_local_origin_success_rate         = 100  # ERROR: resolver.outlier_detection.enforcing_local_origin_success_rate is not built yet
    enforcing_failure_percentage_local_origin   = 100  # ERROR: resolver.outlier_detection.enforcing_failure_percentage_local_origin is not built yet
    successful_active_health_check_uneject_host = true # ERROR: resolver.outlier_detection.successful_active_health_check_uneject_host is not built yet
    always_eject_one_host                       = true # ERROR: resolver.outlier_detection.always_eject_one_host is not built yet
  }
}
