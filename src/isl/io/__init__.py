"""Fields of view: readers for what microscopes write, and writers of predictions."""
