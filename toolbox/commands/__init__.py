"""A module for each command of `image-scaler`: it does the work, prints, and returns the exit code."""
