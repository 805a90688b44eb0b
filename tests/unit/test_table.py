"""Times of a table: seconds since 1970 as pandas shows them."""

import numpy as np
import pandas as pd
import pytest

from sm_async_nb.core.ledger import Fact, Learned, Ledger
from sm_async_nb.job.table import columns_of, utc

A_DAY = 1_790_000_000.0


@pytest.mark.parametrize(
    ("unit", "seconds", "shown"),
    [
        ("ms", A_DAY + 0.1234567, "2026-09-21 14:13:20.123000+00:00"),
        ("ms", A_DAY + 0.9996, "2026-09-21 14:13:21+00:00"),
        ("s", A_DAY + 0.6, "2026-09-21 14:13:21+00:00"),
        ("ms", 0.0, "1970-01-01 00:00:00+00:00"),
    ],
)
def test_a_time_is_rounded_to_its_unit(unit, seconds, shown):
    times = utc(np.array([np.nan, seconds]), unit)
    assert times.dtype == "datetime64[ns, UTC]"
    assert [str(time) for time in times] == ["NaT", shown]


def test_no_times_are_an_empty_column_of_times():
    assert utc(np.empty(0)).equals(pd.DatetimeIndex([], dtype="datetime64[ns, UTC]"))


def test_missing_times_are_not_read_from_memory_nobody_wrote():
    """As ``pd.to_datetime`` of pandas 2 does, which then overflows on whatever lay there before."""
    times = np.where(np.arange(100) < 3, A_DAY, np.nan)
    for _ in range(20):
        left_behind = [np.full(100, 1e305) for _ in range(40)]
        del left_behind
        with np.errstate(all="raise"):
            assert utc(times).isna().sum() == 97


def test_an_answer_may_seem_to_come_before_its_question_and_never_took_less_than_no_time():
    """S3 dates objects by the whole second; what it says is shown as it is."""
    ledger, request = Ledger(1, allowance=60), np.array([0])
    ledger.apply(Learned(fact=Fact.ACCEPTED, requests=request, at=A_DAY + 0.9, details={}))
    ledger.apply(Learned(fact=Fact.OUTPUT_FOUND, requests=request, at=A_DAY))
    table = columns_of(ledger, request)

    assert ([A_DAY + 0.9], [A_DAY], [0.0]) == (
        [time.timestamp() for time in table["accepted_at"]],
        [time.timestamp() for time in table["finished_at"]],
        table["latency"].tolist(),
    )
