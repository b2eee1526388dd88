"""What all pages share: they are made in a thread, once for everybody who sees the same, and asked for again cheaply.

A page is asked for again every few seconds by every screen that shows it (`static/live.js`). Its ETag says whether
anything changed but the clock: the ages in its ``<time>`` elements count on in the browser by themselves.
"""

import asyncio
import gzip
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import hdrs, web

from exporter.clock import Moment
from exporter.inventory import Language
from exporter.lastruns import RunSeen, look_at
from exporter.monitor import Monitor
from exporter.telemetry import VERSION
from exporter.web.accept import accepts_gzip
from exporter.web.pages import asked, assets, words
from exporter.web.pages.asked import Asked, Reader
from exporter.web.pages.words import Words

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
KEPT = 32
"""Pages that are kept for others who ask for the same."""
LONGEST = 300
"""Characters of one text that a server sent."""
LONGEST_RUN = 1500
"""Characters of what was said in one run."""
PERIOD = 5
"""Seconds until a page that is looked at is asked for again."""
_TICKING = re.compile(rb'<time id="as-of"[^>]*>[^<]*|(<time\b[^>]*>)[^<]*')
"""What the clock changes: the page's own time, and the texts of the others."""

Make = Callable[[Words], Mapping[str, object]]
"""Gives what a template shows. Called in a thread: it works on values that nobody changes any more."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A page that can be made: of what was looked at, and when. The same at the same moment is made only once."""

    template: str
    make: Make
    at: Moment
    status: int = 200


View = Callable[[Asked], Awaitable[Shown]]
"""Looks at what a page shows, on the event loop."""


@dataclass(frozen=True, slots=True)
class Made:
    """A page as it is sent, plain and compressed; ``digest`` changes when anything but the clock does."""

    body: bytes
    packed: bytes
    digest: str

    @classmethod
    def of(cls, question: Asked, shown: Shown, t: Words) -> "Made":
        """Make a page."""
        values = {"t": t, "here": question.here, "reader": question.reader, **shown.make(t)}
        text = _ENVIRONMENT.get_template(shown.template).render(values)
        body = text.encode(errors="backslashreplace")
        digest = hashlib.sha256(_TICKING.sub(rb"\1", body)).hexdigest()[:32]
        return cls(body, gzip.compress(body, compresslevel=4, mtime=0), digest)


class Layout:
    """Makes pages of what views show, and answers with them."""

    def __init__(self, monitor: Monitor, executor: Executor) -> None:
        self._monitor = monitor
        self._executor = executor
        for name in _ENVIRONMENT.list_templates():  # now: an upgrade may change the files while we run
            _ENVIRONMENT.get_template(name)
        self._kept: OrderedDict[tuple[Reader, str], tuple[Moment, asyncio.Future[Made]]] = OrderedDict()

    async def answer(self, request: web.Request, view: View, *, trusted: bool) -> web.StreamResponse:
        """Answer with a page, or that the client has it already."""
        if switched := asked.chosen(request):
            return switched
        default: Language = self._monitor.config.noc.language
        question = asked.read(request, default, trusted=trusted)
        shown = await view(question)
        made = await self._made(question, shown)
        headers: dict[str, str] = {
            hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
            hdrs.ETAG: f'W/"{made.digest}"',  # weak: the same for the compressed one, and whatever the clock says
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        }
        if shown.status == 200 and any(tag.value in {made.digest, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = made.body
        if accepts_gzip(request.headers.getall(hdrs.ACCEPT_ENCODING, ())):
            headers[hdrs.CONTENT_ENCODING] = "gzip"
            body = made.packed
        return web.Response(status=shown.status, body=body, headers=headers)

    async def _made(self, question: Asked, shown: Shown) -> Made:
        key = (question.reader, str(question.here))
        at, made = self._kept.get(key, (None, None))
        if made is None or at != shown.at or (made.done() and (made.cancelled() or made.exception())):
            loop = asyncio.get_running_loop()
            t = Words(question.reader.language, ZoneInfo(self._monitor.config.settings.timezone), shown.at.wall)
            made = loop.run_in_executor(self._executor, Made.of, question, shown, t)
            self._kept[key] = (shown.at, made)
            self._kept.move_to_end(key)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return await asyncio.shield(made)


def short(text: str) -> str:
    """Return a text that a server sent, cut if it is long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def said(run: RunSeen) -> str:
    """Return what was said in a run, as far as it fits on a page."""
    text = "\n".join(run.lines)
    return text if len(text) <= LONGEST_RUN else f"{text[:LONGEST_RUN]} ..."


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("exporter.web.pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals |= {
    "asset": assets.address,
    "version": VERSION,
    "languages": words.LANGUAGES,
    "themes": asked.THEMES,
    "period": PERIOD,
    "short": short,
    "look_at": look_at,
    "said": said,
}
