"""Scores, controls and reports."""
