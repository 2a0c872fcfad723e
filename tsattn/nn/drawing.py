"""Random numbers for the first weights of a model, from a generator of its own, so that models can be built in any thread."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class DrawFrom(TorchDispatchMode):
    """A context in which what this thread draws with torch comes from `generator`, as from torch's own with the same seed.

    torch's own random state is one for all threads: it is neither read nor changed. For constructors; every operation inside
    takes a way through Python.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is compiled: else the first draw loads torch's compiler, which takes as long as torch itself."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None:
            func, kwargs["generator"] = with_generator(func), self.generator
        return func(*args, **kwargs)


def with_generator(func: Any) -> Any:
    """The form of an operation of torch that takes a generator; raises a RuntimeError where there is none."""
    wanted = {argument.name for argument in func._schema.arguments} | {"generator"}
    for name in func.overloadpacket.overloads():
        overload = getattr(func.overloadpacket, name)
        if {argument.name for argument in overload._schema.arguments} == wanted:
            return overload
    raise RuntimeError(
        f"{func} takes no generator: first weights are drawn with rand, randn, randint, randperm or torch.nn.init"
    )
