"""Progress bars: by tqdm, or as plain text where that is not installed."""

from __future__ import annotations

import importlib
import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from . import events

__all__ = ["Bars", "TextProgress", "TqdmProgress", "tqdm_progress"]


class TqdmProgress:
    """A `progress=` function that shows one bar for each file. Also a context manager that closes its bars."""

    def __init__(self, tqdm_class: Callable[..., Any] | None = None, **options: Any) -> None:
        self._tqdm: Any = tqdm_class or importlib.import_module("tqdm.auto").tqdm
        self._options = options
        self._bars: dict[str, Any] = {}

    def __call__(self, event: events.Event) -> None:
        if not self.draw(event) and (line := _line(event)):
            self._tqdm.write(line)

    def draw(self, event: events.Event) -> bool:
        """Moves the bar that an event is about; `False` if it is about none."""
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
        else:
            return False
        return True

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


class TextProgress:
    """A `progress=` function that shows all files in one line of text, which fits the terminal. Needs no other package."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._files: dict[str, tuple[int, int]] = {}
        self._rates: dict[str, int] = {}
        self._drawn = 0
        self._next = 0.0

    def __call__(self, event: events.Event) -> None:
        if not self.draw(event) and (line := _line(event)):
            self._wipe()
            self._stream.write(line + "\n")

    def draw(self, event: events.Event) -> bool:
        """Draws the line anew; `False` if the event says nothing for it."""
        if isinstance(event, (events.FileStarted, events.Progress, events.Hashing)):
            done = event.resumed if isinstance(event, events.FileStarted) else event.done
            self._files[event.file] = (done, event.size)
            self._rates[event.file] = event.rate if isinstance(event, events.Progress) else 0
        elif isinstance(event, (events.FileFinished, events.FileFailed)):
            if isinstance(event, events.FileFinished) and event.file in self._files:
                self._files[event.file] = (event.size, event.size)
            self._rates.pop(event.file, None)
        else:
            return False
        now = time.monotonic()
        if now >= self._next or not self._rates:
            self._next = now + 0.1
            self._draw()
        return True

    def close(self) -> None:
        """Ends the line."""
        if self._drawn:
            self._draw()
            self._stream.write("\n")
            self._stream.flush()
        self._files.clear()
        self._rates.clear()
        self._drawn = 0

    def __enter__(self) -> TextProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _draw(self) -> None:
        if not self._files:
            return
        width = max(shutil.get_terminal_size().columns - 1, 10)
        done, size = (sum(values) for values in zip(*self._files.values()))
        rate = sum(self._rates.values())
        share = 100 * done // size if size else 100
        end = f" {share:3d} %  {_bytes(done)} of {_bytes(size)}"
        if rate:
            end += f"  {_bytes(rate)}/s"
            left = int((size - done) / rate)
            end += f"  {left // 60}:{left % 60:02d}"
        if len(end) > width - 8:
            end = f" {share:3d} %"
        name = next(iter(self._rates), None) or next(reversed(self._files))
        if len(self._files) > 1:
            ended = len(self._files) - len(self._rates)
            name = f"{ended}/{len(self._files)} files, {name}"
        room = width - len(end)
        # The end of a name tells more than its middle.
        name = name if len(name) <= room else f"{name[: room // 2 - 1]}…{name[len(name) - (room - room // 2) :]}"
        line = f"{name}{end}"
        self._stream.write(f"\r{line}{' ' * max(self._drawn - len(line), 0)}")
        self._stream.flush()
        self._drawn = len(line)

    def _wipe(self) -> None:
        if self._drawn:
            self._stream.write(f"\r{' ' * self._drawn}\r")
            self._drawn = 0


class Bars:
    """The bars of a call that was given no function. Nothing is imported or drawn before bytes move."""

    def __init__(self, tqdm_class: Callable[..., Any] | None = None) -> None:
        self._tqdm_class = tqdm_class
        self._bars: TqdmProgress | TextProgress | None = None

    def __call__(self, event: events.Event) -> None:
        if self._bars is None and not isinstance(event, (events.FileStarted, events.Progress, events.Hashing)):
            return
        if self._bars is None:
            self._bars = _usable(self._tqdm_class)
        try:
            self._bars.draw(event)
        except ImportError:
            # tqdm in a notebook without widgets says so when it makes the first bar.
            if self._tqdm_class is not None or isinstance(self._bars, TextProgress):
                raise
            self._bars = TextProgress()
            self._bars.draw(event)

    def close(self) -> None:
        """Closes what was drawn."""
        if self._bars is not None:
            self._bars.close()


def _usable(tqdm_class: Callable[..., Any] | None) -> TqdmProgress | TextProgress:
    if tqdm_class is not None:
        return TqdmProgress(tqdm_class)
    try:
        return TqdmProgress()
    except ImportError:
        return TextProgress()


def _line(event: events.Event) -> str | None:
    """What is worth a line beside the bars."""
    if isinstance(event, (events.Notice, events.Warning)):
        return event.message
    if isinstance(event, events.Waiting):
        return f"waiting for {event.what}, held by {event.holder}"
    if isinstance(event, events.Retry):
        return f"{event.what}: {event.why}; next try in {event.after:.0f} s"
    return None


def _bytes(count: float) -> str:
    """An amount of bytes for people, in decimal units as disks and networks have them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def tqdm_progress(**options: Any) -> TqdmProgress:
    """Progress bars for `progress=`; needs the package tqdm. `options` go to each bar.

    >>> Manager().download("tinyllama-1.1b-chat", progress=tqdm_progress())
    """
    return TqdmProgress(**options)
