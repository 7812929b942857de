"""How a call tells what happens: to a function, or to the log and, for a person, in bars."""

from __future__ import annotations

import sys

from ._arguments import require
from ._native import CancelToken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from . import _native, events
    from .progress import Bars

    ProgressFunction = Callable[[events.Event], object]
    Progress = ProgressFunction | bool | None


class Watch:
    """Who hears of a call, for the time that it takes. Bars are closed at its end, however it ends."""

    def __init__(self, progress: Progress, cancel: CancelToken | None, tqdm_class: Callable[..., Any] | None = None) -> None:
        if progress is not None:
            require("progress", progress)
        if tqdm_class is not None and callable(progress):
            raise TypeError("`tqdm_class` is for bars, and goes with no function in `progress`")
        self._tell: ProgressFunction | None = None
        self._bars: Bars | None = None
        if callable(progress):
            self._tell = progress
        elif progress or (progress is None and (tqdm_class is not None or _shows_bars())):
            from .progress import Bars

            self._bars = Bars(tqdm_class)
        self._cancel = cancel

    def __enter__(self) -> _native._Watch:
        hears_progress = self._tell is not None or self._bars is not None
        return {"listener": self._listen, "progress": hears_progress, "cancel": self._cancel}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.close()

    def _listen(self, kind: str, fields: dict[str, Any]) -> None:
        from . import events

        event = events.from_kind(kind, fields)
        if self._tell is not None:
            self._tell(event)
            return
        if self._bars is not None:
            self._bars(event)
        events.to_log(event)


def _shows_bars() -> bool:
    """Whether a person is there to see bars, and has not turned them off."""
    from os import environ

    if environ.get("HF_HUB_DISABLE_PROGRESS_BARS", "").strip().upper() in ("1", "ON", "YES", "TRUE"):
        return False
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty() and environ.get("TERM") != "dumb")


def in_notebook() -> bool:
    """Whether a notebook runs this: a cell whose output is shown by somebody else, in Jupyter and what is made of it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return "IPKernelApp" in getattr(shell, "config", ())
