"""The local endpoint's metrics, before CloudWatch sees them."""

from __future__ import annotations

from sm_async_nb.local.metrics import Metrics, datum

NOON = 1_700_000_000.0


def test_a_second_is_one_data_point():
    """However much happens in it."""
    metrics = Metrics()
    for moment in (NOON, NOON + 0.9, NOON + 1):
        metrics.count("ExpiredRequests", moment)

    assert {"ExpiredRequests": 3} == metrics.counts
    assert [2, 1] == [point.count for point in metrics.take()]


def test_points_are_taken_once_and_counts_stay():
    """CloudWatch adds up what it is given."""
    metrics = Metrics()
    metrics.count("ExpiredRequests", NOON)
    metrics.take()

    assert [] == metrics.take()
    assert {"ExpiredRequests": 1} == metrics.counts


def test_a_point_has_sum_minimum_maximum_and_samples():
    """PutMetricData's StatisticValues; a metric of a variant has two dimensions."""
    metrics = Metrics()
    for milliseconds in (30, 10):
        metrics.measure("TimeInBacklog", milliseconds, NOON)
    (point,) = metrics.take()

    assert {
        "MetricName": "TimeInBacklog",
        "Dimensions": [{"Name": "EndpointName", "Value": "churn"}, {"Name": "VariantName", "Value": "AllTraffic"}],
        "Timestamp": 1_700_000_000,
        "Unit": "Milliseconds",
        "StatisticValues": {"SampleCount": 2, "Sum": 40.0, "Minimum": 10, "Maximum": 30},
    } == datum(point, "churn", "AllTraffic")


def test_the_backlog_belongs_to_the_endpoint():
    """One dimension, so that a scaling policy finds it."""
    metrics = Metrics()
    metrics.measure("ApproximateBacklogSize", 7, NOON)
    (point,) = metrics.take()

    assert [{"Name": "EndpointName", "Value": "churn"}] == datum(point, "churn", "AllTraffic")["Dimensions"]


def test_points_that_nobody_asks_for_are_forgotten_in_the_end():
    """A local endpoint may run for days."""
    metrics = Metrics()
    for second in range(100_010):
        metrics.measure("ApproximateBacklogSize", 0, NOON + second)

    assert 100_000 == len(metrics.take())
