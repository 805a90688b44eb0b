"""Jobs and endpoints without a frame: attaching to a job, listing jobs, and looking at endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from sm_async_nb.notebook.outside import otherwise

if TYPE_CHECKING:
    from sm_async_nb.aws.endpoint import Endpoint
    from sm_async_nb.aws.session import Session
    from sm_async_nb.job.job import Job


def attach(
    uri_or_id: str,
    *,
    session: Session | None = None,
    input_prefix: str | None = None,
    read_only: bool = False,
    storage: str | None = None,
) -> Job:
    """Go on with a job that another kernel began, on whatever machine, without its frame.

    What was not sent is sent, what was sent is followed, and results come on the index that was submitted. A job that
    is over is only read. In the kernel that follows the job already, this is the same :class:`~sm_async_nb.Job`.

    Parameters
    ----------
    uri_or_id
        ``job.uri``, or ``job.id`` of a job below the input prefix.
    session
        The boto3 session to go on with; a new default one otherwise.
    input_prefix
        Where the job of that id lies, ``s3://bucket/prefix``; ``SM_ASYNC_INPUT_PREFIX`` of the environment otherwise.
    read_only
        Only watch what the kernel that has the job does; nothing is sent or written.
    storage
        What S3 is used over in this process: ``"s3fs"``, ``"obstore"``, or ``"auto"``, the default, which is obstore
        where it is installed.

    Returns
    -------
    Job
        As ``df.sm_async.submit(...)`` returned it.

    Raises
    ------
    JobNotFoundError
        If there is no job.
    JobInUseError
        If another kernel has it: who, since when, and until when at most.

    Examples
    --------
    >>> job = sm_async_nb.attach("s3://bucket/sm-async-nb/churn-20260101-120000-7f3a/")  # doctest: +SKIP
    >>> job.wait().results()  # doctest: +SKIP
    """
    from sm_async_nb.job import registry
    from sm_async_nb.notebook.text import progress_line

    return registry.attach(
        uri_or_id,
        session=session,
        input_prefix=input_prefix if str(uri_or_id).startswith("s3://") else otherwise("input_prefix", input_prefix),
        read_only=read_only,
        storage=otherwise("storage", storage),
        progress=progress_line,
    )


def jobs(*, session: Session | None = None, input_prefix: str | None = None) -> pd.DataFrame:
    """The jobs below an input prefix, the newest first.

    Parameters
    ----------
    session
        The boto3 session to look with; a new default one otherwise.
    input_prefix
        ``s3://bucket/prefix``; ``SM_ASYNC_INPUT_PREFIX`` of the environment otherwise.

    Returns
    -------
    pandas.DataFrame
        A line for each job, by its id: ``endpoint_name``, ``state`` (``running``, ``paused``, ``interrupted`` or
        ``over``), ``rows``, ``requests``, a column with the number of requests in each status as last told,
        ``created_at`` (UTC), ``age``, ``tags``, ``note``, ``held_by`` and ``uri``.

    Raises
    ------
    RequestError
        If nothing says where to look, or that may not be read.

    Examples
    --------
    >>> sm_async_nb.jobs(input_prefix="s3://bucket/sm-async-nb")  # doctest: +SKIP
    """
    from sm_async_nb.job import registry

    return registry.jobs(session=session, input_prefix=otherwise("input_prefix", input_prefix))


def endpoint(endpoint_name: str, *, session: Session | None = None) -> Endpoint:
    """An endpoint as it is now: in service, asleep at zero instances, its backlog, its paths and topics.

    Parameters
    ----------
    endpoint_name
        Any endpoint of the session's account and region.
    session
        The boto3 session to look with; a new default one otherwise.

    Raises
    ------
    EndpointNotFoundError, EndpointNotAsynchronousError
        If there is none of that name, or it takes InvokeEndpoint only.

    Examples
    --------
    >>> sm_async_nb.endpoint("churn-xgb")  # doctest: +SKIP
    """
    from sm_async_nb.job import registry

    return registry.endpoint(endpoint_name, session=session)


def endpoints(*, session: Session | None = None) -> pd.DataFrame:
    """The endpoints of the account and region, with their status; which are asynchronous a closer look tells.

    Parameters
    ----------
    session
        The boto3 session to look with; a new default one otherwise.

    Returns
    -------
    pandas.DataFrame
        ``endpoint_name``, ``endpoint_status``, ``created_at`` and ``changed_at`` (UTC), a line for each.

    Examples
    --------
    >>> sm_async_nb.endpoints()  # doctest: +SKIP
    """
    from sm_async_nb.job import registry

    return registry.endpoints(session=session)
