"""Search of recipe and network size."""
