"""Model files, tiles, and the engine that predicts whole fields."""
