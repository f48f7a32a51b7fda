"""Networks and predictive distributions: plain modules that open no files."""
