"""The room that takes recordings and submissions."""
