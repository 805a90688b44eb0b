"""``df.sm_async``: score a frame's rows on an asynchronous endpoint."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from sm_async_nb.aws.session import Session
    from sm_async_nb.job.job import Job


@pd.api.extensions.register_dataframe_accessor("sm_async")
class SmAsyncAccessor:
    """What a frame can do on an asynchronous endpoint. It keeps nothing, since pandas makes a new one each time."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def submit(
        self,
        endpoint_name: str,
        *,
        columns: Sequence[Hashable] | Hashable | None = None,
        content_type: str = "application/json",
        accept: str | None = None,
        custom_attributes: str | None = None,
        request_ttl_seconds: int | None = None,
        invocation_timeout_seconds: int | None = None,
        name: str | None = None,
        session: Session | None = None,
        input_prefix: str | None = None,
        concurrency: int = 64,
        wait: bool = False,
    ) -> Job:
        """Send every row of the frame to an asynchronous endpoint, one request each.

        The frame is copied first, so that it may be changed or thrown away afterwards. Everything that can be checked
        is checked before anything is uploaded. The call returns as soon as the job runs.

        Parameters
        ----------
        endpoint_name
            An endpoint with an AsyncInferenceConfig, in service.
        columns
            The columns that make the payload, in this order; all of them by default.
        content_type
            How a row is written, and what the model is told: ``application/json`` (an object),
            ``application/jsonlines`` (a line) or ``text/csv`` (no header, no index).
        accept, custom_attributes
            Passed to the model.
        request_ttl_seconds
            How long a request may wait in the service's queue, 60 to 21,600 seconds; the service's default is 21,600.
        invocation_timeout_seconds
            How long the model may take, 1 to 3,600 seconds; the service's default is 900.
        name
            The job's name, unique below the input prefix; made of the endpoint's name and the time by default.
        session
            The boto3 session whose credentials, region and settings are used; a new default one otherwise.
        input_prefix
            Where the job lies in S3, ``s3://bucket/prefix``. Otherwise ``SM_ASYNC_INPUT_PREFIX`` of the environment, or
            ``sm-async-nb`` in the bucket of the endpoint's outputs.
        concurrency
            How many requests are uploaded or invoked at one time.
        wait
            Wait for the job, and show how it goes.

        Returns
        -------
        Job
            The running job: ``job.wait()``, ``job.results()``, ``job.table()``, ``job.failures()``.

        Raises
        ------
        RequestError
            If anything about the call, the frame, the endpoint or the buckets is wrong. Nothing was sent then.

        Examples
        --------
        >>> job = df.sm_async.submit("churn-xgb", columns=["age", "plan"])  # doctest: +SKIP
        >>> job.wait().results()  # doctest: +SKIP
        """
        # boto3, s3fs and pyarrow take a second to import, which `import sm_async_nb` should not.
        from sm_async_nb.core.batch import RequestFields
        from sm_async_nb.core.plan import Limits
        from sm_async_nb.job.submit import submit
        from sm_async_nb.notebook.text import progress_line

        job = submit(
            self._frame,
            columns=_as_list(columns),
            fields=RequestFields(
                endpoint_name=endpoint_name,
                content_type=content_type,
                accept=accept,
                custom_attributes=custom_attributes,
                request_ttl_seconds=request_ttl_seconds,
                invocation_timeout_seconds=invocation_timeout_seconds,
            ),
            name=name,
            session=session,
            input_prefix=input_prefix,
            limits=Limits(concurrency=concurrency),
            progress=progress_line,
        )
        return job.wait() if wait else job


def _as_list(columns: Sequence[Hashable] | Hashable | None) -> Sequence[Hashable] | None:
    """One column name is a list of one; a tuple is one name, since frames with two header lines have such names."""
    if columns is None or isinstance(columns, list | pd.Index):
        return columns
    return [columns]
