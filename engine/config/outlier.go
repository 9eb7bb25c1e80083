package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// outlierDetectionBlock ejects endpoints by what requests to them have come to, in Envoy's words: outlier_detection {}. It takes the
// place of the detection that every service has. Of a tcp service a connection counts as a request, and one that fails as a 503.
type outlierDetectionBlock struct {
	// Consecutive5xx is how many requests in a row must fail, with any 5xx or a failed connection, for an endpoint to be ejected,
	// 1 to 1000. Of gRPC these fail too: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS. Default: 5.
	Consecutive5xx      *int      `hcl:"consecutive_5xx,optional"`
	Consecutive5xxRange hcl.Range `hcl:"consecutive_5xx,attr_value_range"`

	// ConsecutiveGatewayFailure is the same for 502, 503, 504 and failed connections; of gRPC for DEADLINE_EXCEEDED and UNAVAILABLE.
	// Default: 5.
	ConsecutiveGatewayFailure      *int      `hcl:"consecutive_gateway_failure,optional"`
	ConsecutiveGatewayFailureRange hcl.Range `hcl:"consecutive_gateway_failure,attr_value_range"`

	// ConsecutiveLocalOriginFailure is the same for failed connections alone, with split_external_local_origin_errors. Default: 5.
	ConsecutiveLocalOriginFailure      *int      `hcl:"consecutive_local_origin_failure,optional"`
	ConsecutiveLocalOriginFailureRange hcl.Range `hcl:"consecutive_local_origin_failure,attr_value_range"`

	// SplitExternalLocalOriginErrors is true when failed connections count only for consecutive_local_origin_failure, and not as 503.
	// Default: false.
	SplitExternalLocalOriginErrors *bool `hcl:"split_external_local_origin_errors,optional"`

	// Interval is the time over which success_rate and failure_percentage are counted, and in which an ejection is forgotten that
	// would have made the next one longer, "100ms" to "1h". Default: "10s".
	Interval      *string   `hcl:"interval,optional"`
	IntervalRange hcl.Range `hcl:"interval,attr_value_range"`

	// BaseEjectionTime is how long an endpoint is ejected for the first time; for the second it is twice as long, and so on, "1s" to
	// "24h". Default: "30s".
	BaseEjectionTime      *string   `hcl:"base_ejection_time,optional"`
	BaseEjectionTimeRange hcl.Range `hcl:"base_ejection_time,attr_value_range"`

	// MaxEjectionTime is how long it is ejected at most, from base_ejection_time to "24h". Default: "300s", or base_ejection_time if
	// that is longer.
	MaxEjectionTime      *string   `hcl:"max_ejection_time,optional"`
	MaxEjectionTimeRange hcl.Range `hcl:"max_ejection_time,attr_value_range"`

	// MaxEjectionPercent is how many percent of the endpoints may be ejected, 0 to 100; one always may. Default: 10.
	MaxEjectionPercent      *int      `hcl:"max_ejection_percent,optional"`
	MaxEjectionPercentRange hcl.Range `hcl:"max_ejection_percent,attr_value_range"`

	// EnforcingConsecutive5xx is in how many percent of the cases consecutive_5xx ejects, 0 to 100. Default: 100.
	EnforcingConsecutive5xx      *int      `hcl:"enforcing_consecutive_5xx,optional"`
	EnforcingConsecutive5xxRange hcl.Range `hcl:"enforcing_consecutive_5xx,attr_value_range"`

	// EnforcingConsecutiveGatewayFailure is the same for consecutive_gateway_failure. Default: 0.
	EnforcingConsecutiveGatewayFailure      *int      `hcl:"enforcing_consecutive_gateway_failure,optional"`
	EnforcingConsecutiveGatewayFailureRange hcl.Range `hcl:"enforcing_consecutive_gateway_failure,attr_value_range"`

	// EnforcingConsecutiveLocalOriginFailure is the same for consecutive_local_origin_failure. Default: 100.
	EnforcingConsecutiveLocalOriginFailure      *int      `hcl:"enforcing_consecutive_local_origin_failure,optional"`
	EnforcingConsecutiveLocalOriginFailureRange hcl.Range `hcl:"enforcing_consecutive_local_origin_failure,attr_value_range"`

	// SuccessRateMinimumHosts is how many endpoints must have had enough requests in an interval for those to be ejected whose rate of
	// success is far below the mean, 2 to 1000. Default: 5.
	SuccessRateMinimumHosts      *int      `hcl:"success_rate_minimum_hosts,optional"`
	SuccessRateMinimumHostsRange hcl.Range `hcl:"success_rate_minimum_hosts,attr_value_range"`

	// SuccessRateRequestVolume is how many requests are enough, 1 to 1000000. Default: 100.
	SuccessRateRequestVolume      *int      `hcl:"success_rate_request_volume,optional"`
	SuccessRateRequestVolumeRange hcl.Range `hcl:"success_rate_request_volume,attr_value_range"`

	// SuccessRateStdevFactor is how far below the mean, in thousandths of the standard deviation, 1 to 100000. Default: 1900.
	SuccessRateStdevFactor      *int      `hcl:"success_rate_stdev_factor,optional"`
	SuccessRateStdevFactorRange hcl.Range `hcl:"success_rate_stdev_factor,attr_value_range"`

	// EnforcingSuccessRate is in how many percent of the cases it ejects, 0 to 100. Default: 100.
	EnforcingSuccessRate      *int      `hcl:"enforcing_success_rate,optional"`
	EnforcingSuccessRateRange hcl.Range `hcl:"enforcing_success_rate,attr_value_range"`

	// FailurePercentageThreshold is the percentage of failed requests in an interval at which an endpoint is ejected, 1 to 100.
	// Default: 85.
	FailurePercentageThreshold      *int      `hcl:"failure_percentage_threshold,optional"`
	FailurePercentageThresholdRange hcl.Range `hcl:"failure_percentage_threshold,attr_value_range"`

	// FailurePercentageMinimumHosts is how many endpoints must have had enough requests for that, 1 to 1000. Default: 5.
	FailurePercentageMinimumHosts      *int      `hcl:"failure_percentage_minimum_hosts,optional"`
	FailurePercentageMinimumHostsRange hcl.Range `hcl:"failure_percentage_minimum_hosts,attr_value_range"`

	// FailurePercentageRequestVolume is how many requests are enough, 1 to 1000000. Default: 50.
	FailurePercentageRequestVolume      *int      `hcl:"failure_percentage_request_volume,optional"`
	FailurePercentageRequestVolumeRange hcl.Range `hcl:"failure_percentage_request_volume,attr_value_range"`

	// EnforcingFailurePercentage is in how many percent of the cases it ejects, 0 to 100. Default: 0.
	EnforcingFailurePercentage      *int      `hcl:"enforcing_failure_percentage,optional"`
	EnforcingFailurePercentageRange hcl.Range `hcl:"enforcing_failure_percentage,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

const (
	defaultDetection    = 10 * time.Second
	defaultEjection     = 30 * time.Second
	defaultMostEjection = 300 * time.Second
	minDetection        = 100 * time.Millisecond
	maxDetection        = time.Hour
	minEjection         = time.Second
	maxEjection         = 24 * time.Hour
	maxVolume           = 1_000_000
	maxHosts            = 1000
	maxRow              = 1000
	maxStdevFactor      = 100_000
)

// outlierDetection returns nil for the detection that every service has.
func (b *builder) outlierDetection(o *outlierDetectionBlock) *mesh.OutlierDetection {
	if o == nil {
		return nil
	}
	number := func(at hcl.Range, what string, written *int, otherwise, least, most int) int {
		return b.number(at, what, valueOr(written, otherwise), least, most)
	}
	percent := func(at hcl.Range, what string, written *int, otherwise int) int {
		return number(at, what, written, otherwise, 0, 100)
	}
	built := &mesh.OutlierDetection{
		Consecutive5xx:     number(o.Consecutive5xxRange, "consecutive_5xx", o.Consecutive5xx, 5, 1, maxRow),
		ConsecutiveGateway: number(o.ConsecutiveGatewayFailureRange, "consecutive_gateway_failure", o.ConsecutiveGatewayFailure, 5, 1, maxRow),
		ConsecutiveLocal:   number(o.ConsecutiveLocalOriginFailureRange, "consecutive_local_origin_failure", o.ConsecutiveLocalOriginFailure, 5, 1, maxRow),
		Enforce5xx:         percent(o.EnforcingConsecutive5xxRange, "enforcing_consecutive_5xx", o.EnforcingConsecutive5xx, 100),
		EnforceGateway: percent(o.EnforcingConsecutiveGatewayFailureRange, "enforcing_consecutive_gateway_failure",
			o.EnforcingConsecutiveGatewayFailure, 0),
		EnforceLocal: percent(o.EnforcingConsecutiveLocalOriginFailureRange, "enforcing_consecutive_local_origin_failure",
			o.EnforcingConsecutiveLocalOriginFailure, 100),
		SplitLocal: valueOr(o.SplitExternalLocalOriginErrors, false),
		MaxEjected: percent(o.MaxEjectionPercentRange, "max_ejection_percent", o.MaxEjectionPercent, 10),
		SuccessRate: mesh.Statistics{
			MinHosts:  number(o.SuccessRateMinimumHostsRange, "success_rate_minimum_hosts", o.SuccessRateMinimumHosts, 5, 2, maxHosts),
			MinVolume: number(o.SuccessRateRequestVolumeRange, "success_rate_request_volume", o.SuccessRateRequestVolume, 100, 1, maxVolume),
			Enforce:   percent(o.EnforcingSuccessRateRange, "enforcing_success_rate", o.EnforcingSuccessRate, 100),
		},
		SuccessFactor: number(o.SuccessRateStdevFactorRange, "success_rate_stdev_factor", o.SuccessRateStdevFactor, 1900, 1, maxStdevFactor),
		FailurePercentage: mesh.Statistics{
			MinHosts: number(o.FailurePercentageMinimumHostsRange, "failure_percentage_minimum_hosts", o.FailurePercentageMinimumHosts, 5, 1, maxHosts),
			MinVolume: number(o.FailurePercentageRequestVolumeRange, "failure_percentage_request_volume", o.FailurePercentageRequestVolume, 50, 1,
				maxVolume),
			Enforce: percent(o.EnforcingFailurePercentageRange, "enforcing_failure_percentage", o.EnforcingFailurePercentage, 0),
		},
		FailureThreshold: number(o.FailurePercentageThresholdRange, "failure_percentage_threshold", o.FailurePercentageThreshold, 85, 1, 100),
		Interval:         defaultDetection, BaseEjection: defaultEjection,
	}
	if o.Interval != nil {
		built.Interval = b.duration(o.IntervalRange, "interval", *o.Interval, minDetection, maxDetection)
	}
	if o.BaseEjectionTime != nil {
		built.BaseEjection = b.duration(o.BaseEjectionTimeRange, "base_ejection_time", *o.BaseEjectionTime, minEjection, maxEjection)
	}
	built.MaxEjection = max(defaultMostEjection, built.BaseEjection)
	if o.MaxEjectionTime != nil {
		built.MaxEjection = b.duration(o.MaxEjectionTimeRange, "max_ejection_time", *o.MaxEjectionTime, built.BaseEjection, maxEjection)
	}
	if o.ConsecutiveLocalOriginFailure != nil && !built.SplitLocal {
		b.errorf(o.ConsecutiveLocalOriginFailureRange, "Failures that are not counted apart", "Failed connections count for consecutive_5xx. Write "+
			"split_external_local_origin_errors = true, or remove the argument.")
	}
	return built
}
