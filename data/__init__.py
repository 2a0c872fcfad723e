"""The built-in sample: simulated daily image counts (see README.md)."""
