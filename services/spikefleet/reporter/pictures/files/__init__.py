"""Figures as picture files beside the report, drawn as the group ``figures`` of the run says."""
