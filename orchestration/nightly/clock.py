"""When nightly runs are due, by the cron line and the time zone of the parameters."""

from datetime import datetime, timedelta
from itertools import islice, pairwise

from orchestration.private import cron_string_iterator, reverse_cron_string_iterator
from rectok.params.schema import NightlyParams

COMING_RUNS = 32
"""Nightly runs among which `longest_gap` looks, about a month of them."""


def last_due(params: NightlyParams, now: datetime) -> datetime:
    """The newest due time that is not after `now`, in the parameters' time zone."""
    return next(reverse_cron_string_iterator(now.timestamp(), params.cron, params.timezone))


def longest_gap(params: NightlyParams) -> timedelta:
    """The longest time between two consecutive nightly runs."""
    times = cron_string_iterator(datetime(2026, 1, 1).timestamp(), params.cron, params.timezone)
    return max(after - before for before, after in pairwise(islice(times, COMING_RUNS)))
