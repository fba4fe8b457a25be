"""What the streaming subresources of pods say on the wire: over WebSocket, over SPDY. Called by `verbs/connect.py`."""
