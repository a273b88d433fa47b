"""Signals that nobody listens to, which are most of them."""

from __future__ import annotations

from typing import Any

from pydispatch import dispatcher
from scrapy.signalmanager import SignalManager

_ANYBODY = id(dispatcher.Any)


class Signals(SignalManager):
    """Scrapy's, but a signal without a listener costs a look into a dictionary or two."""

    def is_heard(self, signal: object, sender: object) -> bool:
        """Whether somebody may listen to `signal` of `sender`."""
        for listened_to in (dispatcher.connections.get(id(sender)), dispatcher.connections.get(_ANYBODY)):
            if listened_to and (signal in listened_to or dispatcher.Any in listened_to):
                return True
        return False

    def send_catch_log(self, signal: Any, **kwargs: Any) -> list[tuple[Any, Any]]:
        """As in Scrapy."""
        if not self.is_heard(signal, kwargs.get("sender", self.sender)):
            return []
        return super().send_catch_log(signal, **kwargs)

    async def send_catch_log_async(self, signal: Any, **kwargs: Any) -> list[tuple[Any, Any]]:
        """As in Scrapy."""
        if not self.is_heard(signal, kwargs.get("sender", self.sender)):
            return []
        return await super().send_catch_log_async(signal, **kwargs)
