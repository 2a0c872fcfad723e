"""Architectures by name."""

from tsattn.models.encoder import Encoder
from tsattn.models.encoder_decoder import EncoderDecoder
from tsattn.models.inverted import Inverted
from tsattn.models.linear import Linear
from tsattn.models.lstm import LSTM

MODELS = {
    "encoder": Encoder,
    "patch": Encoder,
    "encoder_decoder": EncoderDecoder,
    "inverted": Inverted,
    "lstm": LSTM,
    "linear": Linear,
}
