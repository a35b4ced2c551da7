"""When nights are due, by the cron line and the time zone of the parameters."""

from datetime import datetime, timedelta
from itertools import islice, pairwise

from dagster._utils.schedules import cron_string_iterator, reverse_cron_string_iterator

from rectok.params.schema import NightlyParams

LOOKED_AT = 32
"""Coming nights among which the longest gap is sought: a month of them."""


def last_due(params: NightlyParams, now: datetime) -> datetime:
    """The newest time of a night that is not after `now`, in the parameters' time zone."""
    return next(reverse_cron_string_iterator(now.timestamp(), params.cron, params.timezone))


def longest_gap(params: NightlyParams) -> timedelta:
    """The longest time between two nights that follow each other."""
    times = cron_string_iterator(datetime(2026, 1, 1).timestamp(), params.cron, params.timezone)
    return max(after - before for before, after in pairwise(islice(times, LOOKED_AT)))
