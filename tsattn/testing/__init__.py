"""What every architecture and every back-test must keep, as functions for your own test suite.

>>> from tsattn.testing import check_model, check_no_leak           # doctest: +SKIP
>>> check_model("encoder")                                          # doctest: +SKIP
>>> check_no_leak(Forecaster(horizon=7), pd.read_csv("counts.csv")) # doctest: +SKIP

`check_model` runs all of `INVARIANTS` on a name of `tsattn.models.MODELS`; each can also be run alone, on a `Candidate`.
Both raise an AssertionError that says what was broken, and by how much. Nothing else in tsattn imports this package.
"""

from tsattn.testing.candidate import Candidate
from tsattn.testing.contract import INVARIANTS, check_model
from tsattn.testing.leaks import check_no_leak

__all__ = ["INVARIANTS", "Candidate", "check_model", "check_no_leak"]
