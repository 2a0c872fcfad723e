"""All invariants by name, and the function that checks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tsattn.config import ModelConfig
from tsattn.testing import conduct, outputs
from tsattn.testing.candidate import Candidate

INVARIANTS: dict[str, Callable[[Candidate], None]] = {
    "shapes": outputs.check_shapes,
    "finite": outputs.check_finite,
    "missing": outputs.check_missing,
    "batch": outputs.check_batch,
    "variates": outputs.check_variates,
    "padding": outputs.check_padding,
    "scale": outputs.check_scale,
    "shift": outputs.check_shift,
    "quantiles": outputs.check_quantiles,
    "features": outputs.check_features,
    "causality": outputs.check_causality,
    "static": outputs.check_static,
    "determinism": conduct.check_determinism,
    "global state": conduct.check_global_state,
    "inputs": conduct.check_inputs,
    "dropout": conduct.check_dropout,
    "gradients": conduct.check_gradients,
    "training": conduct.check_training,
    "saving": conduct.check_saving,
    "inference": conduct.check_inference,
    "precision": conduct.check_precision,
}


def check_model(name: str, *, config: ModelConfig | None = None) -> dict[str, str]:
    """Check all of `INVARIANTS` on a name of `tsattn.models.MODELS`; {invariant: "kept", or why it is not asked for}.

    A model of your own is added to MODELS and to `tsattn.config.MODEL_CONFIGS` first. `config` is examined in place of the
    defaults; what it leaves open (None, "auto") is decided as for a table of 100 rows, and every head is tried where it names
    none. What an architecture does not keep by design it says in an attribute `exceptions`, invariant -> reason, of the class
    or, where it depends on the configuration, of the object:

        class MyModel(nn.Module):
            exceptions = {"padding": "it reads contexts of one length"}

    Raises one AssertionError that lists every broken invariant with its numbers and every exception that is none, as the model
    keeps it; a ValueError for an unknown name of a model or an invariant and for an exception without a reason.

    >>> check_model("lstm")["batch"]    # doctest: +SKIP
    'kept'
    """
    candidate = Candidate(name, config=config)
    exceptions = _checked(name, candidate.exceptions)
    wrong = {invariant: _wrong(check, candidate) for invariant, check in INVARIANTS.items()}
    broken = {invariant: text for invariant, text in wrong.items() if text is not None and invariant not in exceptions}
    stale = [invariant for invariant in exceptions if wrong[invariant] is None]
    if broken or stale:
        lines = [f"{name} breaks {len(broken)} of {len(INVARIANTS)} invariants; {candidate.config}"]
        lines += [f"  {invariant}: {text}" for invariant, text in broken.items()]
        lines += [f"  {invariant}: it is kept, so it must not be among the exceptions" for invariant in stale]
        lines += [f"  ({invariant} is not asked for: {reason})" for invariant, reason in exceptions.items()]
        raise AssertionError("\n".join(lines))
    return {invariant: exceptions.get(invariant, "kept") for invariant in INVARIANTS}


def _checked(name: str, exceptions: dict[str, Any]) -> dict[str, str]:
    """The exceptions as they are; a ValueError for an unknown invariant and for one without a reason."""
    unknown = [invariant for invariant in exceptions if invariant not in INVARIANTS]
    if unknown:
        raise ValueError(f"{name}: exceptions names {', '.join(map(repr, unknown))}: choose from {', '.join(INVARIANTS)}")
    for invariant, reason in exceptions.items():
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"{name}: exceptions gives {reason!r} for {invariant}: say why it is not kept")
    return exceptions


def _wrong(check: Callable[[Candidate], None], candidate: Candidate) -> str | None:
    """What is wrong, in a line; None where the invariant is kept. A model that cannot even run breaks it too."""
    try:
        check(candidate)
    except Exception as problem:
        said = " ".join(str(problem).split())
        return said if said and isinstance(problem, AssertionError) else f"{type(problem).__name__}: {said}"
    return None
