//go:build tools

// Package tools pins the peers that tests and benchmarks run beside Styr. Styr itself needs no Go.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
