"""Download LLM files once into a content-addressed store, and show them as a tree of links.

`ModelManager` is the class of the guide: it answers `None` or `False` when something fails. `Manager` has results with types,
exceptions with kinds, progress, cancelling and asyncio. Both are one thing: a `ModelManager` is a `Manager`.
"""

from . import errors, events, results
from ._native import CancelToken, __version__
from .errors import (
    AuthError,
    CancelledError,
    DamagedError,
    LockedError,
    ModelManagerError,
    NetworkError,
    NoSpaceError,
    NotFoundError,
    UsageError,
)
from .legacy import ModelManager
from .manager import Manager
from .progress import tqdm_progress

__all__ = [
    "AuthError",
    "CancelToken",
    "CancelledError",
    "DamagedError",
    "LockedError",
    "Manager",
    "ModelManager",
    "ModelManagerError",
    "NetworkError",
    "NoSpaceError",
    "NotFoundError",
    "UsageError",
    "__version__",
    "errors",
    "events",
    "results",
    "tqdm_progress",
]
