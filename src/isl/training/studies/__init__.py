"""Commands that train several models to answer one question."""
