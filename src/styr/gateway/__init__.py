"""Traffic: Gateway API in, xDS to an Envoy of our own, per-arm statistics out. `gateway.Gateway` is the way in."""
