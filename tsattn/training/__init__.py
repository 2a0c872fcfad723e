"""Training. rich draws from `random` when it is first imported: the caller's state is put back."""

import random

_state = random.getstate()
import rich.console  # noqa: E402, F401

random.setstate(_state)
