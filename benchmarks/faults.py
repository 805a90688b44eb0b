"""What faults come to: the trials of tests/reliability in full, and their figures.

``make faults`` prints them; with ``--write`` they are put into docs/reliability.md, between its marks. It takes some
minutes, since processes are killed and networks are slow for real.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from reliability.figures import as_table  # noqa: E402 - the path comes first
from reliability.killing import Killed, kill_again_and_again  # noqa: E402
from reliability.network import endure  # noqa: E402
from reliability.racing import race  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def main() -> None:
    """Run what was asked for; fail if a row was lost or wrong, or a request was sent by two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills, and of the network's dice")
    parser.add_argument("--scale", type=float, default=1.0, help="0.1 tries a tenth of everything")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/reliability.md")
    options = parser.parse_args()

    def scaled(number: int) -> int:
        return max(round(number * options.scale), 1)

    killed = kill_again_and_again(rows=scaled(2_000), kills=scaled(30), seed=options.seed)
    raced = race(rounds=scaled(50))
    endured = endure(rows=scaled(5_000), seed=options.seed)
    figures = [killed.figures, raced.figures, endured.figures]
    told = f"{as_table(figures)}\n\n{_of_the_kills(killed)}\n{_where()}"
    print(told)
    if options.write:
        write(told)
    broken = {
        "rows were lost or wrong": any(one.lost or one.wrong for one in figures),
        "the journal tells otherwise than the last client": bool(killed.unlike_the_journal),
        "two kernels sent one request": bool(raced.figures.sent_twice),
        "not every race was orderly": not all(one.is_orderly for one in raced.rounds),
    }
    sys.exit("; ".join(what for what, is_so in broken.items() if is_so) or 0)


def write(told: str, page: Path = PAGE) -> None:
    """Put the figures between the marks of the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{told}\n{END}{after}", encoding="utf-8")


def _of_the_kills(killed: Killed) -> str:
    most = max(killed.sent_twice_by_a_kill)
    return f"A single kill made at most {most:,} requests be sent twice, where 256 may be."


def _where() -> str:
    return f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}."


if __name__ == "__main__":
    main()
