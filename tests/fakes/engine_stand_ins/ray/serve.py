"""As much of Ray Serve as makes one replica of a deployment and asks it."""

from __future__ import annotations

import asyncio
from typing import Any


class Deployment:
    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._words: tuple[Any, ...] = ()

    def bind(self, *words: Any) -> Deployment:
        self._words = words
        return self

    def ask(self) -> Any:
        return asyncio.run(self._kind(*self._words)(None))


def deployment(kind: type) -> Deployment:
    return Deployment(kind)
