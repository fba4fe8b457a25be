"""The control plane under a seed: store, server and controllers in one event loop whose time is virtual, over a transport
that loses, delays and breaks. `python -m tests.simulation --seeds 200` runs many; a few run with the tests."""
