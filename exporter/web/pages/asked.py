"""Who asks for a page, and in what language and theme: chosen by a link, remembered in a cookie, else the browser's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from aiohttp import hdrs, web
from yarl import URL

from exporter.inventory import Language
from exporter.web.accept import preferred
from exporter.web.pages.words import LANGUAGES

T = TypeVar("T", bound=str)
Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = ("auto", "light", "dark")
REMEMBERED = 365 * 86_400
"""Seconds for which a choice is remembered."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at a page. Only one who is ``trusted`` sees customers' names, contacts, and what servers said."""

    language: Language
    theme: Theme
    trusted: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A page that is asked for: by whom, and where it is (path and query, without what was only a choice)."""

    reader: Reader
    here: URL


def read(request: web.Request, default: Language, *, trusted: bool) -> Asked:
    """Return what a request asks for; ``default`` is the language of a browser that names none of ours."""
    language = _one_of(LANGUAGES, (request.cookies.get("lang", ""), *_browsers(request)), default)
    theme = _one_of(THEMES, (request.cookies.get("theme", ""),), THEMES[0])
    return Asked(Reader(language, theme, trusted), URL.build(path=request.path, query=request.query))


def chosen(request: web.Request) -> web.Response | None:
    """Return the answer to a click on a switch: the choice is remembered, and the same page is asked for without it."""
    choices = {"lang": LANGUAGES, "theme": THEMES}
    if not choices.keys() & request.query.keys():
        return None
    there = URL.build(path=request.path, query=request.query).without_query_params(*choices)
    response = web.Response(status=303, headers={hdrs.LOCATION: str(there)})
    for name, allowed in choices.items():
        if (choice := request.query.get(name)) in allowed:
            response.set_cookie(name, choice, max_age=REMEMBERED, httponly=True, samesite="Lax", secure=request.secure)
    return response


def _browsers(request: web.Request) -> Iterable[str]:
    """Give the languages that the browser likes, without their regions."""
    for name in preferred(request.headers.getall(hdrs.ACCEPT_LANGUAGE, ())):
        yield name.partition("-")[0]


def _one_of(allowed: Sequence[T], wishes: Iterable[str], default: T) -> T:
    return next((each for wish in wishes for each in allowed if each == wish), default)
