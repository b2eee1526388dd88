"""What the checks of SQL servers share: a query, and the value that it has to give."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured, WrongContent
from collectors.secret import Credential
from collectors.tls import StartTlsOptions

STEP = "query"
ANY = "SELECT 1"
"""Asked where the configuration has no query: a pooler lets us in also when the database behind it is gone."""
LONGEST = 8 * 1024


def _text(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise ValueError('must be text, as the server prints it: "t" of PostgreSQL, "1" of MySQL')
    return value


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not have a NUL in it")
    return text


Plain = Annotated[str, Field(max_length=LONGEST), AfterValidator(_plain)]


class SqlOptions(StartTlsOptions):
    """What can be said about a check of an SQL server."""

    query: Plain = ""
    """One statement, done in a read-only transaction; else ``SELECT 1``."""
    expect: Annotated[str | None, Field(max_length=LONGEST), BeforeValidator(_text)] = None
    """The first column of the query's first row, as text."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.expect is not None and not self.query:
            raise ValueError("has expect without a query that would give it")
        return self


def account(talk: Dialogue, opts: SqlOptions) -> Credential | None:
    """Return what we log in with, if anything. Raises Misconfigured where it cannot be used."""
    credential = talk.target.credential
    if credential is None:
        if opts.query:
            raise Misconfigured("log-in", "a query needs a credential to log in with")
        return None
    if not credential.username:
        raise Misconfigured("log-in", "the credential has no username")
    if "\0" in credential.username + credential.password.reveal():
        raise Misconfigured("log-in", "the user name or password has a NUL in it")
    return credential


def judge(talk: Dialogue, expect: str | None, row: list[bytes | None] | None) -> None:
    """Raise WrongContent unless the first column of a query's first row (None: no row) is what is expected."""
    if expect is None:
        return
    if not row:
        raise WrongContent(STEP, f"expected {talk.show(expect)}, got no row")
    value = row[0]
    if value is None or value != expect.encode():
        got = "NULL" if value is None else talk.show(value)
        raise WrongContent(STEP, f"expected {talk.show(expect)}, got: {got}")
