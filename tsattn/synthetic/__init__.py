"""Simulated series, for learning without any real one: generators, the weights that mix them, and what is done to each draw."""
