"""The jobs of this session: those that a magic made, and those that variables are bound to."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from IPython.core.error import UsageError

from sm_async_nb.notebook.magic_options import nearest

if TYPE_CHECKING:
    from sm_async_nb.job.job import Job


class KnownJobs:
    """Finds a job by the name of its variable or by its id. Only the last one is kept alive by being known."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = variables
        self._by_id: WeakValueDictionary[str, Job] = WeakValueDictionary()
        self._used_at: dict[str, float] = {}
        self._last: Job | None = None

    def remember(self, job: Job) -> Job:
        """Make it the last job from now on."""
        self._by_id[job.id] = self._last = job
        self._used_at[job.id] = time.time()
        return job

    def by_variable(self) -> dict[str, Job]:
        """The jobs that variables are bound to; ``_`` and its like are IPython's."""
        kind = getattr(sys.modules.get("sm_async_nb.job.job"), "Job", None)
        if kind is None:
            return {}
        bound = list(self.variables.items())
        return {name: value for name, value in bound if isinstance(value, kind) and not name.startswith("_")}

    def names(self) -> list[str]:
        """What the jobs can be called by: their variables, and the ids of those that have none."""
        variables = self.by_variable()
        bound = {job.id for job in variables.values()}
        return [*variables, *(name for name in self._by_id if name not in bound)]

    def find(self, name: str | None) -> Job:
        """The job of a name, or the last one.

        Raises
        ------
        UsageError
            If there is none.
        """
        return self._newest() if name is None else self._named(name)

    def name_of(self, job: Job) -> str:
        """The variable of a job, or nothing."""
        return next((name for name, other in self.by_variable().items() if other is job), "")

    def _newest(self) -> Job:
        jobs = {job.id: job for job in (*self.by_variable().values(), *self._by_id.values())}
        if not jobs:
            raise UsageError(
                "There is no job in this session yet. %%sm_async ENDPOINT --data NAME makes one;"
                " %sm_async jobs lists those in S3, %sm_async attach ID opens one."
            )
        return max(jobs.values(), key=lambda job: self._used_at.get(job.id, job.snapshot.started_at))

    def _named(self, name: str) -> Job:
        variables = self.by_variable()
        for job in (*variables.values(), *self._by_id.values()):
            if name in (job.id, job.uri, job.uri.rstrip("/")):
                return job
        if name in variables:
            return variables[name]
        if name in self.variables:
            raise UsageError(f"{name} is a {type(self.variables[name]).__name__}, not a job.{self._others()}")
        raise UsageError(
            f"There is no job {name!r} in this session.{nearest(name, self.names())}{self._others()}"
            f" %sm_async attach {name} opens one that is in S3."
        )

    def _others(self) -> str:
        names = self.names()
        return f" Jobs here: {', '.join(names[:5])}." if names else ""
