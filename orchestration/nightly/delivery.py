"""Delivery of alerts: every channel gets each alert once, and a sensor retries at every tick until a channel took it."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial

import dagster as dg

from rectok.alerts.alert_config import AlertConfig
from rectok.alerts.channels import Alert, channels, deliver
from rectok.errors import UserError

GIVE_UP_AFTER = timedelta(days=3)
TIMEOUT, CHANNEL_BUDGET = 20.0, 5.0
"""Seconds that one delivery may take, and seconds after which a channel starts no other delivery in this tick.

Dagster ends a tick after 60 seconds.
"""

_running: dict[tuple[str, Alert], "Future[None]"] = {}
"""Deliveries of this process that had not ended when their tick did, by channel and alert."""


@dataclass(frozen=True)
class Pending:
    """A sensor's cursor: the time from which events count, and the channels that have not taken each alert yet."""

    since: str
    owed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def cursor(self) -> str:
        """The text that Dagster stores."""
        return json.dumps(asdict(self))


def parse_cursor(cursor: str | None) -> Pending | None:
    """None at a sensor's first tick, and if an older version wrote the cursor."""
    try:
        tree = json.loads(cursor or "null")
    except ValueError:
        return None
    return Pending(**tree) if isinstance(tree, dict) and tree.keys() == {"since", "owed"} else None


def deliver_alerts(
    config: AlertConfig,
    pending: Pending,
    cursor: str | None,
    alerts: Mapping[str, Callable[[], Alert | None]],
    nothing: str,
) -> dg.SensorResult:
    """Try every channel that each of `alerts` still owes. An alert is made only if needed, and may turn out to be None.

    One of `pending` that is not among `alerts` is given up; `nothing` is the message if nothing happened. Raises UserError if
    deliveries failed and the cursor is the same: a tick that raises loses its cursor, so others mention failures in a message.
    """
    tick = _Tick(config)
    owed = {key: tick.deliver(pending.owed.get(key), make) for key, make in alerts.items()}
    expired = [
        f"gave up the alert for {key} by {' and '.join(names)}"
        for key, names in pending.owed.items()
        if names and key not in owed
    ]
    message = "; ".join([*tick.failures, *expired, *tick.notes]) or nothing
    new_cursor = Pending(pending.since, owed).cursor
    if tick.failures and new_cursor == cursor:
        raise UserError(message)
    return dg.SensorResult(skip_reason=message, cursor=new_cursor)


@dataclass
class _Tick:
    """The deliveries of one tick, and the seconds that each channel spent on them."""

    config: AlertConfig
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    def deliver(self, owed: Sequence[str] | None, make: Callable[[], Alert | None]) -> list[str]:
        """Deliver an alert to the channels `owed`, or to all if it is new. Returns those that have not taken it."""
        alert = None if owed is not None and not owed else make()
        if alert is None:
            return []
        names = channels(self.config)
        if not names:
            self.notes.append(f"nightly.alert names no channel: {alert.text}")
        return [name for name in names if (owed is None or name in owed) and not self._delivered(alert, name)]

    def _delivered(self, alert: Alert, channel: str) -> bool:
        if self.spent.get(channel, 0.0) > CHANNEL_BUDGET:
            self.notes.append(f"“{alert.title}” waits for the next tick")
            return False
        start = time.monotonic()
        try:
            _bounded(channel, alert, partial(deliver, self.config, alert, channel))
        except Exception as error:  # of any kind: the other channel must be tried, and its delivery stored
            self.failures.append(f"the alert “{alert.title}” was not delivered by {channel}: {error}")
            return False
        finally:
            self.spent[channel] = self.spent.get(channel, 0.0) + time.monotonic() - start
        self.notes.append(f"“{alert.title}” sent by {channel}")
        return True


def _bounded(channel: str, alert: Alert, send: Callable[[], None]) -> None:
    """Wait at most `TIMEOUT` for a delivery. The next tick waits for the same delivery and starts no second one.

    Every step of a delivery has a timeout, but there may be many, and a tick that Dagster ends forgets its deliveries.
    """
    delivery = _running.pop((channel, alert), None)
    if delivery is None:
        pool = ThreadPoolExecutor(1)
        delivery = pool.submit(send)
        pool.shutdown(wait=False)
    if wait([delivery], TIMEOUT).not_done:
        _running[channel, alert] = delivery
        raise ConnectionError(f"no answer for {TIMEOUT:g} s; the next tick waits for it again")
    delivery.result()
