"""Architectures by name."""

from tsattn.models.encoder import Encoder
from tsattn.models.linear import Linear

MODELS = {"encoder": Encoder, "patch": Encoder, "linear": Linear}
