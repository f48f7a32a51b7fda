"""Networks and predictive distributions: plain modules without files or configuration frameworks."""
