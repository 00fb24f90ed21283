"""Expressions of the dashboards, so that each kind of metric is asked in one right way.

Counters are rated before they are summed, as a restart sets only its own series back. A ratio has
no value where nothing happened, rather than a false one. What all replicas tell alike is taken once
and never summed.
"""

from __future__ import annotations

JOB = 'job="relaydesk"'
EVERY = "$__rate_interval"
"""Grafana's own: at least four scrapes, so that no rate lacks its two points."""


def selector(metric: str, where: str = "", *, instance: bool = True) -> str:
    """Return *metric* of this installation, of the instances that the reader chose."""
    labels = [JOB, 'instance=~"$instance"'] if instance else [JOB]
    return f"{metric}{{{','.join([*labels, where] if where else labels)}}}"


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Return how often a counter rises a second, summed over replicas, by the labels *by*."""
    return f"sum{_by(by)} (rate({selector(metric, where)}[{EVERY}]))"


def rise(metric: str, by: str = "", where: str = "", over: str = "$__range") -> str:
    """Return by how much a counter rose *over* a time, restarts included."""
    return f"sum{_by(by)} (increase({selector(metric, where)}[{over}]))"


def of_service(metric: str) -> str:
    """Return *metric* of the services and instances that the reader chose."""
    return selector(metric, 'service=~"$service"')


def of_others(counter: str) -> str:
    """Return how often a counter rises that another service than the board's tells."""
    return f"sum (rate({selector(counter, instance=False)}[{EVERY}]))"


def share(part: str, whole: str) -> str:
    """Return *part* of *whole*, 0 to 1; no value where there was none of the whole."""
    return f"({part}) / ({whole} > 0)"


def quantile(q: float, histogram: str, by: str = "", where: str = "") -> str:
    """Return below what a share *q* of the observations lay, over all replicas."""
    labels = f"le, {by}" if by else "le"
    # Of nothing it is NaN, which Grafana shows as a number; compared, it is no value
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', labels, where)}) >= 0"


def average(histogram: str, by: str = "") -> str:
    """Return the mean of the observations; no value where there were none."""
    return share(rate(f"{histogram}_sum", by), rate(f"{histogram}_count", by))


def within(histogram: str, le: str, by: str = "") -> str:
    """Return the share of observations up to *le*, which must be a bound of the histogram."""
    good = rate(f"{histogram}_bucket", by, f'le="{le}"')
    return share(good, rate(f"{histogram}_count", by))


def total(gauge: str, by: str = "", where: str = "") -> str:
    """Return a gauge of which each replica has a part of its own, summed."""
    return f"sum{_by(by)} ({selector(gauge, where)})"


def greatest(gauge: str, by: str = "", where: str = "") -> str:
    """Return the greatest of the replicas' values."""
    return f"max{_by(by)} ({selector(gauge, where)})"


def alike(gauge: str, where: str = "") -> str:
    """Return what every replica tells alike, once; whichever replicas the reader chose."""
    return f"max without (instance, pod) ({selector(gauge, where, instance=False)})"


def summed(gauge: str, by: str = "", where: str = "") -> str:
    """Return what every replica tells alike, summed over the labels that are left."""
    return f"sum{_by(by)} ({alike(gauge, where)})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
