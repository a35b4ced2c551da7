"""What a sensor still owes to people: each alert goes every way once, and is tried at each tick until it went."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial

from dagster import SensorResult

from rectok.alerts.alert_config import AlertConfig
from rectok.alerts.sending import Alert, channels, deliver
from rectok.errors import UserError

PATIENCE = timedelta(days=3)
"""How long what cannot be delivered is tried."""
LONGEST, ENOUGH = 20.0, 5.0
"""Seconds that a delivery may take, and after which its way begins no other in this tick, which Dagster ends after 60."""


_under_way: dict[tuple[str, Alert], "Future[None]"] = {}
"""Deliveries, by way, that an earlier tick of this process did not wait for to the end."""


@dataclass(frozen=True)
class Memory:
    """A sensor's cursor: from when on things count, and the ways that each alert still has to go, none once it is settled."""

    since: str
    owed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def written(self) -> str:
        """As Dagster keeps it."""
        return json.dumps(asdict(self))


def remembered(cursor: str | None) -> Memory | None:
    """None at a sensor's first tick, and where an older version wrote the cursor."""
    try:
        found = json.loads(cursor or "null")
    except ValueError:
        return None
    return Memory(**found) if isinstance(found, dict) and found.keys() == {"since", "owed"} else None


def told(
    config: AlertConfig,
    memory: Memory,
    cursor: str | None,
    alerts: Mapping[str, Callable[[], Alert | None]],
    quiet: str,
) -> SensorResult:
    """Try every way that each of `alerts` still has to go; they are made only where needed, and may turn out to be none.

    An alert in `memory` that is not among `alerts` any more is given up. `quiet` is what the tick says when it did nothing.
    Raises UserError where only failures are to be told, so that the tick is red; a tick that raises loses its cursor, so
    one that has changed it says its failures where it may.
    """
    tick = _Tick(config)
    owed = {key: tick.left(memory.owed.get(key), make) for key, make in alerts.items()}
    lost = [
        f"gave up telling of {key} by {' and '.join(left)}"
        for key, left in memory.owed.items()
        if left and key not in owed
    ]
    sentence = "; ".join([*tick.failures, *lost, *tick.said]) or quiet
    after = Memory(memory.since, owed).written
    if tick.failures and after == cursor:
        raise UserError(sentence)
    return SensorResult(skip_reason=sentence, cursor=after)


@dataclass
class _Tick:
    """What one tick did."""

    config: AlertConfig
    said: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    def left(self, owed: Sequence[str] | None, make: Callable[[], Alert | None]) -> list[str]:
        """The ways that an alert has to go after this tick; before it they were `owed`, None where it is new."""
        alert = None if owed is not None and not owed else make()
        if alert is None:
            return []
        asked = channels(self.config)
        if not asked:
            self.said.append(f"nightly.alert names no way to tell: {alert.text}")
        return [way for way in asked if (owed is None or way in owed) and not self._went(alert, way)]

    def _went(self, alert: Alert, way: str) -> bool:
        if self.spent.get(way, 0.0) > ENOUGH:
            self.said.append(f"“{alert.title}” waits for the next tick")
            return False
        began = time.monotonic()
        try:
            _bounded(way, alert, partial(deliver, self.config, alert, way))
        except Exception as error:  # whatever it is, the other way is tried, and what went is remembered
            self.failures.append(f"the alert “{alert.title}” was not delivered by {way}: {error}")
            return False
        finally:
            self.spent[way] = self.spent.get(way, 0.0) + time.monotonic() - began
        self.said.append(f"“{alert.title}” sent by {way}")
        return True


def _bounded(way: str, alert: Alert, go: Callable[[], None]) -> None:
    """Wait for a delivery no longer than a tick may; the next tick asks the same one how it ended, and begins no second.

    Servers have a timeout for every step, but there may be many; a tick that Dagster ends would forget what went.
    """
    going = _under_way.pop((way, alert), None)
    if going is None:
        pool = ThreadPoolExecutor(1)
        going = pool.submit(go)
        pool.shutdown(wait=False)
    if wait([going], LONGEST).not_done:
        _under_way[way, alert] = going
        raise ConnectionError(f"no answer for {LONGEST:g} s; the next look asks how it ended")
    going.result()
