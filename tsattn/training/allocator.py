"""What training asks of the C library: to keep the memory of a step for the next one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEEP_MMAP, KEEP_TRIM = (-3, 2**30), (-1, 2**31 - 1)  # arguments of glibc's mallopt, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD
USUAL_MMAP, USUAL_TRIM = (-3, 2**25), (-1, 2**26)  # where glibc's own thresholds rise to in a process with large arrays


@contextmanager
def kept_memory() -> Iterator[None]:
    """Memory that a training step frees stays with the process for the next one; at the end it goes back.

    By itself glibc maps arrays of more than 32 MB anew each time, and every page of them costs a fault: on a CPU up to a third
    of a step. Other C libraries are left alone.
    """
    mallopt = _mallopt()
    for option in (KEEP_MMAP, KEEP_TRIM) if mallopt else ():
        mallopt(*option)
    try:
        yield
    finally:
        for option in (USUAL_MMAP, USUAL_TRIM) if mallopt else ():
            mallopt(*option)
        if mallopt:
            ctypes.CDLL(None).malloc_trim(0)


def _mallopt() -> Any:
    """glibc's function, or None where this process has another C library."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library.mallopt if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
