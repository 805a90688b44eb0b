"""``df.sm_async``: score a frame's rows on an asynchronous endpoint."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from sm_async_nb.errors import RequestError
from sm_async_nb.notebook.outside import otherwise

if TYPE_CHECKING:
    from sm_async_nb.aws.session import Session
    from sm_async_nb.core.estimate import Plan
    from sm_async_nb.job.job import Job
    from sm_async_nb.notebook.form.form import Form


# autoreload executes this again, and pandas would warn of the accessor that is there already: our own.
if getattr(getattr(pd.DataFrame, "sm_async", None), "__module__", "") == __name__:
    delattr(pd.DataFrame, "sm_async")


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
        template: str | None = None,
        payload: Any = None,
        input_location: str | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        custom_attributes: str | None = None,
        inference_id: str | None = None,
        request_ttl_seconds: int | str | None = None,
        invocation_timeout_seconds: int | str | None = None,
        s3_output_path_extension: str | None = None,
        filename: str | None = None,
        nan: str = "null",
        bare: bool = False,
        wrap: str = "array",
        rows_per_request: int | None = None,
        max_payload_bytes: int | None = None,
        inline: str = "never",
        deduplicate: bool = False,
        name: str | None = None,
        session: Session | None = None,
        input_prefix: str | None = None,
        concurrency: int = 64,
        max_in_flight: int = 100_000,
        retries: int = 0,
        max_failures: float | None = None,
        tracker: str = "list",
        retry_failed: bool = False,
        restart: bool = False,
        tags: Mapping[str, str] | None = None,
        note: str = "",
        sse_kms_key_id: str | None = None,
        expected_bucket_owner: str | None = None,
        storage: str | None = None,
        wait: bool = False,
    ) -> Job:
        """Send the rows of the frame to an asynchronous endpoint.

        The frame is copied first, so that it may be changed or thrown away afterwards. Every row is checked before
        anything is uploaded. The call returns as soon as the job runs.

        The fields of the request may be the same for all rows or differ: a text that is the name of a column means
        that column, one with ``{{ }}`` is a template over the row's columns, anything else is a constant.

        Parameters
        ----------
        endpoint_name
            An endpoint with an AsyncInferenceConfig, in service.
        columns
            The columns that make the payload, in this order; all of them by default.
        template
            A Jinja2 template of the payload instead. For JSON, ``{"inputs": {{ text }}}`` quotes and escapes by itself.
        payload
            Or a function of the row, a dict, that returns bytes, text or, for JSON, any object; or a serializer of
            the SageMaker SDK.
        input_location
            Or the column of S3 URIs where the inputs lie already; nothing is uploaded then.
        content_type
            How rows are written, and what the model is told: ``application/json`` (the default),
            ``application/jsonlines``, ``text/csv`` (no header, no index), ``text/libsvm``, ``text/plain``,
            ``application/x-npy``, ``application/x-parquet``, or ``image/*``, ``audio/*`` and
            ``application/octet-stream`` from one column of bytes, local paths or S3 URIs.
        accept, custom_attributes
            Passed to the model.
        inference_id
            A unique id for each request; made of the job and the row by default.
        request_ttl_seconds
            How long a request may wait in the service's queue, 60 to 21,600 seconds; the service's default is 21,600.
        invocation_timeout_seconds
            How long the model may take, 1 to 3,600 seconds; the service's default is 900.
        s3_output_path_extension, filename
            Where below the endpoint's output path an output goes, and its name; chosen so that tracking is cheap by
            default, where the SDK knows these fields.
        nan
            What becomes of missing values: ``"null"`` (the type's own word for them), ``"error"``, or ``"omit"`` (the
            key, for JSON).
        bare
            For JSON: send one column's value alone, without its name.
        wrap
            For JSON with several rows in a request: an ``"array"``, or ``"instances"``.
        rows_per_request, max_payload_bytes
            Put so many rows, or so many bytes of them, into one request; the answer is split back.
        inline
            ``"never"`` puts every payload in S3, ``"auto"`` those of up to 128,000 bytes inside the request instead,
            ``"always"`` refuses larger ones.
        deduplicate
            Send rows that are the same once, and give each of them the answer.
        name
            The job's name, unique below the input prefix; made of the endpoint's name and the time by default. A job of
            that name that was there before is continued: rows that were answered are not sent again, new and changed
            ones are.
        session
            The boto3 session whose credentials, region and settings are used; a new default one otherwise.
        input_prefix
            Where the job lies in S3, ``s3://bucket/prefix``. Otherwise ``SM_ASYNC_INPUT_PREFIX`` of the environment, or
            ``sm-async-nb`` in the bucket of the endpoint's outputs.
        concurrency
            How many requests are uploaded or invoked at one time, at most; fewer when the service asks for it.
        max_in_flight
            How many requests may wait for their answers at one time; the service's queue holds 120,000.
        retries
            How often a request is sent again by itself when the model answered 5xx, or no answer came in time. What the
            model refuses (4xx) is not, nor is a failure that does not say which it is.
        max_failures
            Stop sending when more requests than this have ended badly: a number, or a share below 1 of those that have
            ended, once there are twenty. The job keeps what has come, and ``job.wait()`` raises.
        tracker
            ``"list"`` looks into S3. ``"sqs:<queue url>"`` listens to the endpoint's notifications in that queue too,
            and looks into S3 once a minute only.
        retry_failed
            With ``name``: send those again that ended badly before.
        restart
            With ``name``: begin anew where the endpoint, the content type, the template or the like was changed, which
            is refused otherwise. Everything is sent again.
        tags, note
            Texts by name, and a text, that ``sm_async_nb.jobs()`` shows.
        sse_kms_key_id
            The KMS key that everything this package writes to S3 is encrypted with.
        expected_bucket_owner
            The account that the buckets must belong to, or S3 refuses every call.
        storage
            What S3 is used over in this process: ``"s3fs"``; ``"obstore"``, which takes less CPU and comes with
            ``pip install sm-async-nb[fast]``; or ``"auto"``, the default, which is obstore where it is installed.
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
        from sm_async_nb.core.build import RequestArguments
        from sm_async_nb.core.flags import check_flags
        from sm_async_nb.job.document import Settings
        from sm_async_nb.job.submit import Wishes, submit
        from sm_async_nb.notebook.text import progress_line

        check_flags("Nothing was sent.", wait=wait)
        arguments = RequestArguments(
            endpoint_name=endpoint_name,
            columns=columns,
            template=template,
            payload=payload,
            input_location=input_location,
            content_type=content_type,
            accept=accept,
            custom_attributes=custom_attributes,
            inference_id=inference_id,
            request_ttl_seconds=request_ttl_seconds,
            invocation_timeout_seconds=invocation_timeout_seconds,
            s3_output_path_extension=s3_output_path_extension,
            filename=filename,
            nan=nan,
            bare=bare,
            wrap=wrap,
            rows_per_request=rows_per_request,
            max_payload_bytes=max_payload_bytes,
            inline=inline,
            deduplicate=deduplicate,
        )
        settings = Settings(
            concurrency=concurrency,
            max_in_flight=max_in_flight,
            retries=retries,
            max_failures=max_failures,
            tracker=tracker,
            sse_kms_key_id=otherwise("sse_kms_key_id", sse_kms_key_id),
            expected_bucket_owner=otherwise("expected_bucket_owner", expected_bucket_owner),
        )
        wishes = Wishes(
            name=name,
            input_prefix=otherwise("input_prefix", input_prefix),
            settings=settings,
            tags=tags or {},
            note=note,
            retry_failed=retry_failed,
            restart=restart,
            storage=otherwise("storage", storage),
        )
        job = submit(self._frame, arguments, wishes, session=session, progress=progress_line)
        return job.wait() if wait else job

    def plan(
        self,
        endpoint_name: str,
        *,
        seconds_per_request: float | None = None,
        price_per_hour: float | None = None,
        max_concurrent_invocations_per_instance: int = 1,
        **arguments: Any,
    ) -> Plan:
        """Say what :meth:`submit` would do with the same arguments, and send nothing; AWS is not even asked.

        The plan shows the first payloads as they would be sent, their sizes, the number of calls by operation, the
        fee for S3, and every problem found.

        Parameters
        ----------
        endpoint_name, **arguments
            As for :meth:`submit`.
        seconds_per_request
            How long the model takes for a request; with it the plan tells the instance-hours.
        price_per_hour
            What an instance of the endpoint costs in US dollars; with it the plan tells what they cost.
        max_concurrent_invocations_per_instance
            How many requests an instance works on at the same time.

        Returns
        -------
        Plan
            With a text and an HTML form.

        Raises
        ------
        RequestError
            If an argument is wrong whatever the rows are.

        Examples
        --------
        >>> import pandas as pd, sm_async_nb
        >>> plan = pd.DataFrame({"x": [1, 2]}).sm_async.plan("double")
        >>> plan.requests, plan.samples
        (2, ('{"x":1}', '{"x":2}'))
        """
        from sm_async_nb.core.build import RequestArguments
        from sm_async_nb.job.submit import plan

        session = arguments.pop("session", None)
        for name in _OF_SUBMIT_ALONE:
            arguments.pop(name, None)
        try:
            return plan(
                self._frame,
                _request_arguments(RequestArguments, endpoint_name, arguments),
                session=session,
                seconds_per_request=seconds_per_request,
                price_per_hour=price_per_hour,
                slots=max_concurrent_invocations_per_instance,
            )
        except RequestError as error:
            error.args = (str(error).removesuffix("Nothing was sent.").rstrip(),)  # as nothing of a plan ever is
            raise

    def panel(self, *, session: Session | None = None) -> Form:
        """A form that builds a submit of this frame, with the plan in view while it is filled in.

        Parameters
        ----------
        session
            The boto3 session to look with, and to submit with; a new default one otherwise.

        Returns
        -------
        Form
            Shown by a notebook; elsewhere it says that it needs one.
        """
        from sm_async_nb.notebook.form.form import panel

        return panel(self._frame, session=session)


# These say where a job lies and how it runs, not what it sends.
_OF_SUBMIT_ALONE = (
    "name", "input_prefix", "concurrency", "max_in_flight", "retries", "max_failures", "tracker", "retry_failed",
    "restart", "tags", "note", "sse_kms_key_id", "expected_bucket_owner", "storage", "wait",
)  # fmt: skip


def _request_arguments(kind: Any, endpoint_name: str, arguments: dict[str, Any]) -> Any:
    """The arguments of a plan, refused as Python refuses what a function does not know."""
    known = [field.name for field in dataclasses.fields(kind)]
    for name in arguments:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f". Did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"plan() got an unexpected keyword argument {name!r}{hint}")
    return kind(endpoint_name=endpoint_name, **arguments)
