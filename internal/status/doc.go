// Package status serves a node's figures over HTTP: /metrics for Prometheus, /livez and /readyz for supervisors. It
// owns its listener and the goroutines of net/http; it only asks the node, through node.Client.
package status
