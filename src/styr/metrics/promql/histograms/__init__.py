"""The algebra of native histograms, as PromQL of Prometheus 3.14 has it: the same floats, bit for bit.

Called by PromQL's evaluating files and by whoever prints histograms. Calls `model.histogram` and `promql.annotations`. Pure: a
histogram that was handed in is never changed, so samples can be shared.

The order in which floats are added decides their last bits, so every loop here runs in Prometheus' order (model/histogram and
promql of its source). Files: bounds, buckets (reading one); layout, working, arithmetic, zero, sums (computing with several);
resets, rates, extended, overtime (over ranges); quantiles, fractions, moments, trim (asking one); text (printing).
"""
