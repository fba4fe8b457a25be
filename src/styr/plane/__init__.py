"""The composition root: what starts, in which order, and who is handed what. The only room that imports the server."""
