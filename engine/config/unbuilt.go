package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// unbuilt is what the language knows and this release does not do, with what to do now.
//
// A key is the path of a block or argument, a path with the block's label, or a path with an argument's value.
var unbuilt = map[string]string{
	`node.addresses`:             "Remove it: the addresses come from the host block of this machine.",
	`node.zone`:                  "Remove it: the zone comes from the host block of this machine.",
	`capture.mode = "all"`:       `Write "mesh", which captures connections to mesh services, or "off".`,
	`discovery "consul"`:         `Write discovery "static" and declare the services in its files.`,
	`mesh.mtls`:                  "Remove it: connections between hosts are not encrypted by meshd yet, so use a network that you trust.",
	`mesh.intentions`:            "Remove it: every source may reach every service, so keep the firewall rules that you have.",
	`mesh.default_intention`:     "Remove it: every source may reach every service, so keep the firewall rules that you have.",
	`mesh.peer_port`:             "Remove it: hosts connect to the port of the endpoint itself.",
	`host.meshd`:                 "Remove it: hosts connect to the port of the endpoint itself.",
	`service.listener.mtls`:      "Remove it: connections between hosts are not encrypted by meshd yet, so use a network that you trust.",
	`service.mtls`:               "Remove it: connections between hosts are not encrypted by meshd yet, so use a network that you trust.",
	`service.expose`:             "Remove the block: no service is closed to a local checker.",
	`service.workload.container`: "Match by unit, cgroup or user.",
	`resolver.outlier_detection.max_ejection_time_jitter`:                    "Remove it: an ejection lasts as long as it says.",
	`resolver.outlier_detection.enforcing_local_origin_success_rate`:         "Remove it: connections that fail eject by consecutive_local_origin_failure.",
	`resolver.outlier_detection.enforcing_failure_percentage_local_origin`:   "Remove it: connections that fail eject by consecutive_local_origin_failure.",
	`resolver.outlier_detection.successful_active_health_check_uneject_host`: "Remove it: a check that passes does not end an ejection, as a port that accepts a check may still fail its clients.",
	`resolver.outlier_detection.always_eject_one_host`:                       "Remove it: one endpoint may always be ejected.",
	`service.endpoint.listen`:                                                "Let the process listen on the address of the endpoint.",
	`intention`:                                                              "Remove the block: every source may reach every service, so keep the firewall rules that you have.",
	`wireguard`:                                                              "Remove the block, and set WireGuard up outside meshd if you need it.",
}

// removeUnbuilt reports what is not built yet and takes it out of the tree, so that what is left is checked as usual.
func (r *reader) removeUnbuilt(body *hclsyntax.Body, path string) {
	for name, attribute := range body.Attributes {
		for _, key := range []string{path + name, path + name + ` = "` + literal(attribute.Expr) + `"`} {
			if advice, found := unbuilt[key]; found {
				r.errorf(attribute.SrcRange, key+" is not built yet", "%s", advice)
				delete(body.Attributes, name)
			}
		}
	}
	var kept hclsyntax.Blocks
	for _, b := range body.Blocks {
		key := path + b.Type
		if _, found := unbuilt[key]; !found && len(b.Labels) > 0 {
			key = fmt.Sprintf("%s%s %q", path, b.Type, b.Labels[0])
		}
		if advice, found := unbuilt[key]; found {
			r.errorf(b.DefRange(), key+" is not built yet", "%s", advice)
			continue
		}
		r.removeUnbuilt(b.Body, path+b.Type+".")
		kept = append(kept, b)
	}
	body.Blocks = kept
}

// literal returns the string that an expression is, or nothing.
func literal(expr hclsyntax.Expression) string {
	v, diags := expr.Value(nil)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}
