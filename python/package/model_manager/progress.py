"""Progress bars by tqdm."""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import Any

from . import events

__all__ = ["TqdmProgress", "tqdm_progress"]


class TqdmProgress:
    """A `progress=` function that shows one bar for each file. Also a context manager that closes its bars."""

    def __init__(self, **options: Any) -> None:
        self._tqdm = importlib.import_module("tqdm.auto").tqdm
        self._options = options
        self._bars: dict[str, Any] = {}

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, (events.FileStarted, events.Progress, events.Hashing)):
            bar = self._bars.get(event.file)
            if bar is None:
                options = {"unit": "B", "unit_scale": True, "desc": event.file} | self._options
                bar = self._bars[event.file] = self._tqdm(total=event.size, **options)
            done = event.resumed if isinstance(event, events.FileStarted) else event.done
            bar.update(done - bar.n)
        elif isinstance(event, (events.FileFinished, events.FileFailed)):
            bar = self._bars.pop(event.file, None)
            if bar is not None:
                if isinstance(event, events.FileFinished):
                    bar.update(event.size - bar.n)
                bar.close()
        elif isinstance(event, (events.Notice, events.Warning)):
            self._tqdm.write(event.message)
        elif isinstance(event, events.Waiting):
            self._tqdm.write(f"waiting for {event.what}, held by {event.holder}")
        elif isinstance(event, events.Retry):
            self._tqdm.write(f"{event.what}: {event.why}; next try in {event.after:.0f} s")

    def close(self) -> None:
        """Closes every bar that is open."""
        while self._bars:
            self._bars.popitem()[1].close()

    def __enter__(self) -> TqdmProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def tqdm_progress(**options: Any) -> TqdmProgress:
    """Progress bars for `progress=`; needs the package tqdm. `options` go to each bar.

    >>> Manager().download("tinyllama-1.1b-chat", progress=tqdm_progress())
    """
    return TqdmProgress(**options)
