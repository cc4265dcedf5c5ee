"""A Kubernetes API server that is not there: strict, on a clock of its own, and held to recordings.

It answers as a real server of version 1.36 was recorded to answer, runs the Job controller and one
kubelet per node, and refuses what a real server refuses. ``cluster`` is where a test begins.
"""
