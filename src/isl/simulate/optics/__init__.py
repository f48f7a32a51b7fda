"""Transmitted light: what a condenser, a volume of refractive index and an objective make."""
