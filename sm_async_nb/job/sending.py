"""Uploading inputs and invoking the endpoint, at the pace that S3 and the service bear."""

from __future__ import annotations

from sm_async_nb.aws.runtime import Runtime
from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.ledger import Fact
from sm_async_nb.core.pace import Pace
from sm_async_nb.errors import InvocationRefusedError, PayloadLostError, ServiceTroubleError
from sm_async_nb.job.backoff import Backoff
from sm_async_nb.job.desk import Desk


class Sender:
    """Sends one request at a call; how many at a time is the plan's business."""

    def __init__(self, desk: Desk, backoff: Backoff) -> None:
        self.pace = Pace(desk.limits.concurrency)
        self._desk = desk
        self._backoff = backoff
        self._storage: Storage | None = None
        self._runtime: Runtime | None = None
        # Inputs that are up, but whose upload is not in the ledger yet.
        self.uploaded: set[int] = set()

    def connect(self, storage: Storage, runtime: Runtime) -> None:
        """Go on with these connections."""
        self._storage = storage
        self._runtime = runtime

    async def send(self, request: int) -> None:
        """Upload the input where that is to do, and invoke the endpoint; learn what comes of it, if anything does."""
        desk, began = self._desk, self._desk.now()
        try:
            if not await self._upload_and_invoke(request):
                self._let_go(request)
        except InvocationRefusedError as refusal:
            desk.learn(Fact.REFUSED, request, desk.now(), **_told(refusal))
        except PayloadLostError as loss:
            desk.lost[request] = str(loss)
            desk.underway.lost += 1
            desk.underway.unrecorded -= 1
        except ServiceTroubleError as trouble:
            self._slow_down(trouble, began)
            self._let_go(request)
        else:
            self.pace.succeeded()
            self._backoff.get_on()
        finally:
            desk.underway.sending -= 1
            desk.underway.window = self.pace.room
            desk.underway.hold_until = self._backoff.hold_until

    def settle(self, requests: IntArray) -> None:
        """The ledger knows of these uploads now."""
        self.uploaded.difference_update(requests.tolist())

    async def _upload_and_invoke(self, request: int) -> bool:
        """Whether it was sent; it is not when sending was stopped, or the lease ended, during the upload."""
        assert self._storage is not None
        assert self._runtime is not None
        desk = self._desk
        is_up = bool(desk.ledger.input_uploaded[request]) or request in self.uploaded
        prepared = desk.batch.prepare(request, int(desk.ledger.attempt[request]), desk.layout, is_up=is_up)
        if prepared.location is not None and not is_up:
            await self._storage.put(prepared.location, prepared.payload, prepared.fields.get("content_type"))
            self.uploaded.add(request)
            desk.learn(Fact.INPUT_UPLOADED, request, desk.now())
        if desk.underway.is_stopped or desk.now() >= desk.underway.send_until:
            return False
        accepted = await self._runtime.invoke(prepared.fields)
        desk.learn(
            Fact.ACCEPTED,
            request,
            desk.now(),
            output_location=accepted.output_location,
            failure_location=accepted.failure_location,
            inference_id=accepted.inference_id,
            request_id=accepted.request_id,
            http_status=str(accepted.http_status),
        )
        return True

    def _slow_down(self, trouble: ServiceTroubleError, began: float) -> None:
        if trouble.throttled:
            self.pace.throttled(began, self._desk.now())
        self._backoff.meet(trouble, self._desk.now())
        self._desk.show()

    def _let_go(self, request: int) -> None:
        """Nothing was learned about the request: it stays where it is, and may be sent again."""
        self._desk.underway.busy[request] = False
        self._desk.underway.unrecorded -= 1


def _told(refusal: InvocationRefusedError) -> dict[str, str]:
    return {"message": str(refusal), "request_id": refusal.request_id, "http_status": str(refusal.status)}
