"""Tests mirror the tree: unit, contracts, integration, e2e, and house for the house rules."""
