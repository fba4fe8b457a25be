"""helm: a chart with what charts have, and what people do with it."""
