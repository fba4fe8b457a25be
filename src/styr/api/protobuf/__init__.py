"""Request bodies in Kubernetes' protobuf: the envelope, the reader, and the table of fields that `generate` makes."""
