"""The message catalogue: every text of the dashboards is written in English, and `ja.yml` says it in Japanese."""

from pathlib import Path
from typing import Literal

import yaml

Language = Literal["ja", "en"]
LANGUAGES: tuple[Language, ...] = ("ja", "en")

JAPANESE: dict[str, str] = yaml.safe_load(Path(__file__).with_name("ja.yml").read_text("utf-8"))


class MissingMessageError(LookupError):
    """A text that the catalogue does not have."""


def say(message: str, language: Language) -> str:
    """Return a message in a language. Raises MissingMessageError, with what to add where."""
    if language == "en":
        return message
    try:
        return JAPANESE[message]
    except KeyError:
        raise MissingMessageError(f"dashboards/generate/ja.yml has no line for: {message!r}") from None
