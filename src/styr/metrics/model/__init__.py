"""What the rooms of the metrics engine hand each other: labels, matchers, samples, histograms, errors. Pure, without I/O."""
