"""gRPC plumbing: server, channels, interceptors, errors, conversion."""
