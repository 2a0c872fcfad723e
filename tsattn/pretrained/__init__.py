"""The network that forecasts without training: weights, manifest and model card. Made by `python -m tsattn.pretrain`."""
