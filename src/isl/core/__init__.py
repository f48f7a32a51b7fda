"""The vocabulary that every layer shares: axes, errors, configuration, progress."""
