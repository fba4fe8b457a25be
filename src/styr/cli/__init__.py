"""The command line: one file per verb. Verbs talk to a running Styr through `client`; only `up`, `down` and `demo` know
`plane`, and import it late so that every other verb starts fast."""
