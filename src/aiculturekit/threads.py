"""The one place where blocking work leaves the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def run(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """`function(*args, **kwargs)` on the default thread pool, in the caller's context."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def run_on(executor: Executor, call: Callable[[], T]) -> T:
    """`call()` on an executor of the caller's, in the caller's context."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(executor, functools.partial(context.run, call))
