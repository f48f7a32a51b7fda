"""Synthetic scenes with a known answer."""
