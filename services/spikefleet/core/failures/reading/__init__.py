"""Reading what an ended attempt left behind: logs, exceptions, messages, a cluster's words."""
