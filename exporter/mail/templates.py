"""Templates of mails in Jinja's language: one folder per language, and the operator's folder before ours.

``ja/notice.txt`` is a mail: its first line is the subject, then comes an empty line, then the text. The HTML part is
``ja/notice.html`` where there is one, and ``body.html`` around the same text otherwise.

What a value holds may come from a lying machine. In HTML everything is escaped; in text a value is always one line of
bounded length without control characters, so that it cannot pretend to be a paragraph of ours. A value that is meant to
have lines is given as `Paragraphs`.
"""

import logging
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2

from collectors.reading import Lamp
from exporter.clock import DAY, HOUR, MINUTE, SECOND
from exporter.inventory import Language
from exporter.words import LAMPS, MAILINGS, MEANS, REASON_UNKNOWN, REASONS, VERDICTS

log = logging.getLogger("mail")

OURS = Path(__file__).with_name("templates")
LANGUAGES: tuple[Language, ...] = ("ja", "en")
LONGEST = 300
"""Characters of a value; the rest is cut off."""
LONGEST_SUBJECT = 150
SPACES = " \u3000"
INDENT = 4
"""Spaces around a value that are kept."""
UNIVERSAL_BODY = "body.html"
WEEKDAYS = "月火水木金土日"


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says."""

    subject: str
    text: str
    html: str


class Paragraphs(str):
    """Text of several lines, written by a person: it stays so. Other control characters are taken out all the same."""

    __slots__ = ()


class TemplateError(Exception):
    """A template cannot be used; the message names it and says why."""


class Templates:
    """Renders mails. ``folder`` is the operator's: what is in it goes before ours, file by file."""

    def __init__(self, zone: ZoneInfo, folder: Path | None = None) -> None:
        self._folder = folder
        ours = _shipped()
        self._ours = {language: _environment(language, zone, ours) for language in LANGUAGES}
        self._used = self._ours
        if folder:
            both = jinja2.ChoiceLoader([jinja2.FileSystemLoader(folder), ours])
            self._used = {language: _environment(language, zone, both) for language in LANGUAGES}

    def render(self, language: Language, name: str, /, **facts: Any) -> Letter:
        """Return the mail ``name``. An operator's template that fails is reported and ours is used: it must leave."""
        try:
            return _render(self._used[language], language, name, facts)
        except TemplateError as error:
            if self._used is self._ours:
                raise
            log.error("%s: the mail is written with the template that is shipped", error)  # noqa: TRY400 - its text is all
            return _render(self._ours[language], language, name, facts)

    def page(self, language: Language, name: str, /, **facts: Any) -> str:
        """Return the HTML of the template ``name.html`` alone. Raises TemplateError."""
        return _rendered(self._used[language], f"{language}/{name}.html", facts)

    def verify(self, language: Language, name: str, /, **facts: Any) -> None:
        """Raise TemplateError if the operator's template of a mail fails with these facts."""
        _render(self._used[language], language, name, facts)


@cache
def _shipped() -> jinja2.BaseLoader:
    """Read our templates once: an upgrade puts others in their place before this process ends."""
    files = (file for file in OURS.rglob("*") if file.is_file())
    return jinja2.DictLoader({file.relative_to(OURS).as_posix(): file.read_text("utf-8") for file in files})


def _environment(language: Language, zone: ZoneInfo, loader: jinja2.BaseLoader) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=loader,
        # what is plain text has nothing to escape: there `_finalized` takes care
        autoescape=lambda name: name is not None and name.endswith(".html"),  # noqa: S701
        undefined=jinja2.StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"language": language, "timezone": zone.key}
    environment.filters |= _filters(language, zone)
    return environment


def _filters(language: Language, zone: ZoneInfo) -> dict[str, Callable[..., str]]:
    def time(wall: int) -> str:
        at = datetime.fromtimestamp(wall / SECOND, UTC).astimezone(zone)
        if language == "ja":
            return f"{at.year}年{at.month}月{at.day}日（{WEEKDAYS[at.weekday()]}）{at:%H:%M:%S}"
        return f"{at:%Y-%m-%d %H:%M:%S} {at.tzname()}"

    def date(wall: int) -> str:
        at = datetime.fromtimestamp(wall / SECOND, UTC).astimezone(zone)
        return f"{at.year}年{at.month}月{at.day}日" if language == "ja" else f"{at:%Y-%m-%d}"

    def duration(milliseconds: int) -> str:
        days, rest = divmod(max(milliseconds, 0), DAY)
        parts = ((days, "日", "d"), (rest // HOUR, "時間", "h"), (rest % HOUR // MINUTE, "分", "min"))
        column = 1 if language == "ja" else 2
        said = [f"{part[0]}{'' if language == 'ja' else ' '}{part[column]}" for part in parts if part[0]]
        return ("" if language == "ja" else " ").join(said) or ("1分未満" if language == "ja" else "less than a minute")

    def reason(code: str) -> str:
        return REASONS[language].get(code, REASON_UNKNOWN[language])

    def lamp(code: str) -> str:
        known = {str(lamp): said for lamp, said in LAMPS[language].items()}
        return known.get(code, known[Lamp.OTHER])

    def names(items: list[str], shown: int = 3) -> str:
        first = ("、" if language == "ja" else ", ").join(items[:shown])
        more = len(items) - shown
        if more <= 0:
            return first
        return f"{first} ほか{more}件" if language == "ja" else f"{first} and {more} more"

    def verdict(code: str) -> str:
        return {verdict.name.lower(): said for verdict, said in VERDICTS[language].items()}.get(code, "")

    def means(code: str) -> str:
        return MEANS[language].get(code, "")

    def mailing(code: str) -> str:
        return MAILINGS[language].get(code, "")

    def lines(text: str, indent: str = "") -> Paragraphs:
        return Paragraphs("\n".join(f"{indent}{line}" for line in text.splitlines()))

    return {
        "time": time,
        "date": date,
        "duration": duration,
        "reason": reason,
        "lamp": lamp,
        "verdict": verdict,
        "means": means,
        "mailing": mailing,
        "names": names,
        "lines": lines,
    }


def one_line(text: str, longest: int) -> str:
    """Return the text as one line of printable characters, cut off at its longest."""
    text = " ".join(_printable(text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _finalized(value: Any) -> Any:
    """Take out of a value what could break or disguise a line (Jinja calls this for each)."""
    if isinstance(value, Paragraphs):
        return "\n".join(map(_printable, value.splitlines()))
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    line = one_line(value, LONGEST)
    # what a template says around it, ``" to " ~ …``, keeps its spaces
    before, after = value[: -len(value.lstrip(SPACES)) or None], value[len(value.rstrip(SPACES)) :]
    return f"{before[:INDENT]}{line}{after[:INDENT]}" if line else ""


def _printable(text: str) -> str:
    # without control and private characters, lone surrogates, and formats, which turn the direction of reading
    return "".join(" " if unicodedata.category(char)[0] == "C" else char for char in text)


def _render(environment: jinja2.Environment, language: Language, name: str, facts: Mapping[str, Any]) -> Letter:
    file = f"{language}/{name}.txt"
    subject, _, rest = _rendered(environment, file, facts).lstrip("\n").partition("\n")
    if not subject.strip() or rest[:1] != "\n" or not rest.strip():
        raise TemplateError(f"{file}: its first line has to be the subject, then an empty line, then the text")
    text = rest.strip("\n") + "\n"
    try:
        html = _rendered(environment, f"{language}/{name}.html", facts)
    except _NoTemplateError:
        html = _rendered(environment, UNIVERSAL_BODY, {**facts, "text": Paragraphs(text)})
    return Letter(one_line(subject, LONGEST_SUBJECT), text, html)


class _NoTemplateError(TemplateError):
    """There is none of this name."""


def _rendered(environment: jinja2.Environment, file: str, facts: Mapping[str, Any]) -> str:
    try:
        template = environment.get_template(file)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"{error.filename or file}, line {error.lineno}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        raise _NoTemplateError(f"{file}: there is no such template") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{file}: it cannot be read: {error}") from error
    try:
        return template.render(facts)
    except Exception as error:  # a template is a program: it can fail in any way
        raise TemplateError(f"{template.filename}: {type(error).__name__}: {error}") from error
