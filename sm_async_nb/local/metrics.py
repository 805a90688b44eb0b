"""The metrics of an endpoint: counts since it was made, and data points that CloudWatch has not seen yet.

The names and dimensions are the service's own (developer guide, "Monitoring asynchronous endpoints"). Pure: ``now`` is
an argument, in seconds since the epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

# What describes the endpoint as a whole; everything else belongs to a variant.
ENDPOINT_METRICS = {
    "ApproximateBacklogSize": "Count",
    "ApproximateBacklogSizePerInstance": "Count",
    "ApproximateAgeOfOldestRequest": "Seconds",
    "HasBacklogWithoutCapacity": "Count",
}
MEASURED_METRICS = {
    "TimeInBacklog": "Milliseconds",
    "TotalProcessingTime": "Milliseconds",
    "ModelLatency": "Microseconds",
    "RequestDownloadLatency": "Microseconds",
    "ResponseUploadLatency": "Microseconds",
}

# Seconds times metrics. Nobody has asked for the oldest in hours, so they are forgotten.
_MOST_POINTS = 100_000


@dataclass(slots=True)
class Point:
    """What a metric was in one second, as CloudWatch's StatisticSet."""

    name: str
    second: int
    total: float = 0.0
    count: int = 0
    minimum: float = field(default=float("inf"))
    maximum: float = field(default=float("-inf"))

    @property
    def unit(self) -> str:
        return ENDPOINT_METRICS.get(self.name) or MEASURED_METRICS.get(self.name, "Count")

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)


class Metrics:
    """Counts and measures. ``counts`` goes on for ever, data points are kept until they are taken."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._points: dict[tuple[str, int], Point] = {}

    def count(self, name: str, now: float) -> None:
        """It happened once more."""
        self.counts[name] += 1
        self._add(name, 1, now)

    def measure(self, name: str, value: float, now: float) -> None:
        """It took this long, or is this large."""
        self._add(name, value, now)

    def take(self) -> list[Point]:
        """The data points since the last call, oldest first."""
        points, self._points = self._points, {}
        return list(points.values())

    def _add(self, name: str, value: float, now: float) -> None:
        key = name, int(now)
        point = self._points.get(key)
        if point is None:
            point = self._points[key] = Point(name, key[1])
            if len(self._points) > _MOST_POINTS:
                del self._points[next(iter(self._points))]
        point.add(value)


def datum(point: Point, endpoint_name: str, variant_name: str) -> Mapping[str, object]:
    """The point as PutMetricData takes it."""
    dimensions = [{"Name": "EndpointName", "Value": endpoint_name}]
    if point.name not in ENDPOINT_METRICS:
        dimensions.append({"Name": "VariantName", "Value": variant_name})
    return {
        "MetricName": point.name,
        "Dimensions": dimensions,
        "Timestamp": point.second,
        "Unit": point.unit,
        "StatisticValues": {
            "SampleCount": point.count,
            "Sum": point.total,
            "Minimum": point.minimum,
            "Maximum": point.maximum,
        },
    }
