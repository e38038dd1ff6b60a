"""Scenarios: what a file may say, how it is read, and how it is run."""
