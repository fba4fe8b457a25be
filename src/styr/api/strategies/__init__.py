"""What each kind needs beyond being stored: its shape, defaults, validation, immutability. One `Strategy` a kind; pure, but
for `admit`, which may read the store's transaction. Called by the verbs through `registry.ServedResource`."""
