mesh "shop" {}
host "app-1" {
  addresses = ["10.0.0.21"]
}

service "a" {
  port     = 80
  protocol = "http"
  endpoint {
    host = "app-1"
  }
}
resolver "a" {
  outlier_detection {
    consecutive_5xx                           = 0 # ERROR: Invalid consecutive_5xx
    consecutive_gateway_failure               = 1001 # ERROR: Invalid consecutive_gateway_failure
    consecutive_local_origin_failure          = 2 # ERROR: Failures that are not counted apart
    interval                                  = "10ms" # ERROR: Invalid interval
    base_ejection_time                        = "1m"
    max_ejection_time                         = "30s" # ERROR: Invalid max_ejection_time
    max_ejection_percent                      = 101 # ERROR: Invalid max_ejection_percent
    enforcing_consecutive_5xx                 = 101 # ERROR: Invalid enforcing_consecutive_5xx
    enforcing_consecutive_gateway_failure     = -1 # ERROR: Invalid enforcing_consecutive_gateway_failure
    enforcing_consecutive_local_origin_failure = 101 # ERROR: Invalid enforcing_consecutive_local_origin_failure
    success_rate_minimum_hosts                = 1 # ERROR: Invalid success_rate_minimum_hosts
    success_rate_request_volume               = 0 # ERROR: Invalid success_rate_request_volume
    success_rate_stdev_factor                 = 0 # ERROR: Invalid success_rate_stdev_factor
    enforcing_success_rate                    = 101 # ERROR: Invalid enforcing_success_rate
    failure_percentage_threshold              = 0 # ERROR: Invalid failure_percentage_threshold
    failure_percentage_minimum_hosts          = 0 # ERROR: Invalid failure_percentage_minimum_hosts
    failure_percentage_request_volume         = 0 # ERROR: Invalid failure_percentage_request_volume
    enforcing_failure_percentage              = 101 # ERROR: Invalid enforcing_failure_percentage
  }
  failover "*" {
    zones = ["", "x", "x"] # ERROR: Zone without a name; Zone is given twice; Zone without an endpoint
  }
}
