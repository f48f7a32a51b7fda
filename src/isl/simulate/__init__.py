"""Synthetic scenes with a known answer: shapes, propagation of light, camera."""
