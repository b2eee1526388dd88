"""Runs one attempt of one check: the deadline, the meaning of every error, the certificate, and a closed connection."""

import asyncio
import logging
import time

from collectors import tls
from collectors.dialogue import CertificateSeen, Dialogue
from collectors.failures import CertificateFailure, CheckFailure, Internal, translate
from collectors.reading import ServiceReading
from collectors.registry import CheckKind, Options, ServiceTarget
from collectors.transcript import ROOM

log = logging.getLogger("checks")


async def attempt(
    kind: CheckKind, target: ServiceTarget, options: Options, deadline: float, *, room: int = ROOM
) -> ServiceReading:
    """Run a check once and return what it found. ``deadline`` is event-loop time in seconds.

    ``room`` is how many bytes of what was said are kept, about.
    Never raises, except CancelledError. The connection is closed when this returns or is cancelled.
    """
    began = time.monotonic()  # the loop's own time stands still within an iteration and has milliseconds only
    talk = Dialogue(target, deadline)
    failure: CheckFailure | None = None
    try:
        async with asyncio.timeout_at(deadline):
            await kind.run(talk, options)
    except Exception as error:  # noqa: BLE001 - whatever a check raises is its result
        late = talk.late if isinstance(error, TimeoutError) else None
        failure = _meaning(late or error, kind, talk)
        if rest := talk.waiting():
            talk.transcript.note("<", rest)
        if talk.rejected is not None and failure.reason == CertificateFailure.reason:
            failure = await _explained(failure, kind, talk, options, deadline)
    finally:
        talk.close()
    expiry = tls.expiry(talk.certificate) if talk.certificate else None
    return ServiceReading(failure, time.monotonic() - began, expiry, talk.transcript.recording(room))


def _meaning(error: Exception, kind: CheckKind, talk: Dialogue) -> CheckFailure:
    failure = translate(error, talk.step)
    if type(failure) is Internal and not isinstance(error, CheckFailure | OSError | MemoryError):
        log.error("the check %s is at fault, at %s", kind.name, talk.step, exc_info=error)
    # a kept failure must not keep the frames of the attempt, with its buffers
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


async def _explained(
    failure: CheckFailure, kind: CheckKind, talk: Dialogue, options: Options, deadline: float
) -> CheckFailure:
    """Take a second look at the certificate that was not accepted: TLS shows it to nobody who refuses it.

    The check runs once more up to that handshake, without verifying, and says nothing after it.
    """
    again = Dialogue(talk.target, deadline, look_at=talk.handshakes)
    try:
        async with asyncio.timeout_at(deadline):
            await kind.run(again, options)
    except CertificateSeen as seen:
        talk.certificate = seen.der
    except Exception:  # noqa: BLE001 - the first look's failure stands, whatever hinders the second
        talk.transcript.note("*", f"a second look at the certificate failed at {again.step}")
    finally:
        again.close()
    certificate = tls.read_certificate(talk.certificate) if talk.certificate else None
    if talk.rejected is None or certificate is None:
        return failure
    detail = talk.show(tls.explain(talk.rejected, certificate, talk.server_name), 500)
    return CertificateFailure(tls.flaw_of(talk.rejected, certificate), detail)
