"""Runs that start from another model: what is taken over, kept, frozen and remembered."""
