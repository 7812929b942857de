"""Download LLM files once into a content-addressed store, and show them as a tree of links.

`ModelManager` is the class of the guide: it answers `None` or `False` when something fails. `Manager` has results with types,
exceptions with kinds, progress, cancelling and asyncio. Both are one thing: a `ModelManager` is a `Manager`. `download` and
`path` are one-liners. `model_manager.hub` has two functions of the Hub's own library.
"""

from . import errors
from ._native import CancelToken, __version__
from ._shortcuts import download, path
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import events, hub, results
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
    "download",
    "errors",
    "events",
    "hub",
    "path",
    "results",
    "tqdm_progress",
]


def __getattr__(name: str) -> object:
    # Dataclasses take longer to make than all the rest, and who only asks for a path needs none.
    if name in ("events", "hub", "results", "tqdm_progress"):
        from importlib import import_module

        module = import_module(f"{__name__}.{'progress' if name == 'tqdm_progress' else name}")
        return getattr(module, name, module)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
