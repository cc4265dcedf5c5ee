"""Attempts as Jobs of a Kubernetes cluster: one Job, one pod, one attempt."""
