"""SPDY/3.1, the server's side: frames, header blocks, and streams over a connection that was taken over. kubectl speaks it."""
