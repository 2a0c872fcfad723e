"""Hydra configurations: differences from the defaults, which stand in `tsattn.config`."""
