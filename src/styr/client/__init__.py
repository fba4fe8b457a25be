"""The seam to the Kubernetes API: transport, client, informer, work queue, controllers. Everything above it talks to a
server through this package only, whether that server is Styr's own or any other Kubernetes."""
