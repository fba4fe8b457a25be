"""Delivery: from git push to a release that is promoted or taken back by what its traffic shows. `plane` hands it the
gateway's statistics and mounts its git endpoint. It never runs a build itself (Pods do) nor touches Envoy."""
