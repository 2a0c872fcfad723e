"""Architectures by name."""

from tsattn.models.encoder import Encoder

MODELS = {"encoder": Encoder, "patch": Encoder}
