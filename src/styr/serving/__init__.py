"""HTTP/1.1 for servers: a `kinds.transport.Handler` on a socket, with TLS, limits, timeouts and authentication. What listens in
Styr (the API server, the metrics engine) is served from here; what a request means is the handler's business."""
