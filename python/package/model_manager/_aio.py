"""Runs blocking work for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from . import events
from ._native import CancelToken

if TYPE_CHECKING:
    from ._watch import Progress

T = TypeVar("T")


async def in_thread(
    work: Callable[[Progress, CancelToken], T], progress: Progress
) -> T:
    """Runs blocking work on a thread. It has stopped when this returns, however it returns."""
    loop = asyncio.get_running_loop()
    cancel = CancelToken()
    failures: list[BaseException] = []

    def deliver(event: events.Event) -> None:
        if not callable(progress) or failures:
            return
        try:
            progress(event)
        except BaseException as failure:
            failures.append(failure)
            cancel.cancel()

    def relay(event: events.Event) -> None:
        loop.call_soon_threadsafe(deliver, event)

    task = asyncio.ensure_future(asyncio.to_thread(work, relay if callable(progress) else progress, cancel))
    stopped: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as why:
            stopped = why
            cancel.cancel()
    # Taken in any case: an exception that nobody takes is logged.
    if not task.cancelled():
        task.exception()
    if failures:
        raise failures[0]
    if stopped is not None:
        raise stopped
    return task.result()
