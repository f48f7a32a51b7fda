"""Learning a model from pairs of source and targets."""
