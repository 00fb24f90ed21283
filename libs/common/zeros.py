"""Counters that are there from the start.

prometheus_client shows a line with labels only once it was counted, and `increase()` never sees a
count that begins at 1: the first failure would go unnoticed. So each counter whose labels take few
values is shown with 0 for each of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from prometheus_client import Counter, Histogram


def from_zero(metric: Counter | Histogram, *values: Iterable[str]) -> None:
    """Show a line for each combination of the labels' *values*, in the order of its labels."""
    for labels in itertools.product(*values):
        metric.labels(*labels)
