"""What all threads of a process share is changed by one of them at a time."""

import os
import sys
import threading

# held by a training from its first step to its last: torch's random state, its number of threads and the warning filters are
# those of the process, so that trainings in several threads take turns; forecasts, loading and building a model never wait
ONE_AT_A_TIME = threading.RLock()
BUILDING = threading.Lock()  # held while a model is built: its constructor sets torch's default type


def _after_fork() -> None:
    """A forked child begins with free locks and one thread for torch.

    The other threads of its parent are not there: without this, OpenMP waits for them for ever in the first larger operation
    (as torch's own DataLoader workers, which have one thread for the same reason, would).
    """
    for lock in (ONE_AT_A_TIME, BUILDING):
        lock._at_fork_reinit()  # pyright: ignore[reportAttributeAccessIssue]
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
