"""Scenes of cells with a known answer, in micrometres and without a grid until they are drawn."""
