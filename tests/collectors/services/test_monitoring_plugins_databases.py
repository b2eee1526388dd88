"""postgresql, mysql and ldap beside Debian's plug-ins on the same peers, up and broken: one verdict, or a reason."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.failures import Unauthorized, WrongContent
from collectors.secret import Credential, Secret
from tests.peers.certificates import DAY, Authority, now
from tests.peers.mariadb import PROBE as MARIADB_PROBE
from tests.peers.mariadb import MariaDb
from tests.peers.monitoring_plugins import Plugin, agree, differ
from tests.peers.postgres import PROBE, PROBE_MD5, Postgres
from tests.peers.scripted import Attempt
from tests.peers.slapd import BASE, Slapd
from tests.peers.slapd import PROBE as LDAP_PROBE

NAME = "db.example"


def account(credential: Credential, name: str = "-u") -> tuple[str, ...]:
    return (name, credential.username, "-p", credential.password.reveal())


# postgresql


@pytest.fixture(scope="module")
def postgres(peer: Callable[[str], str], authority: Authority) -> Iterator[Postgres]:
    database = Postgres(peer("postgres"), authority.issue(NAME, ends=now() - DAY))
    with database:
        yield database
    database.remove()


def check_pgsql(database: Postgres, *more: str) -> tuple[str, ...]:
    return ("check_pgsql", "-H", "127.0.0.1", "-P", str(database.port), "-d", "postgres", "-t", "1", *more)


async def test_check_pgsql_agrees_on_a_server_that_lets_us_in_stops_and_starts_up(
    run: Attempt, plugin: Plugin, postgres: Postgres
) -> None:
    arguments = check_pgsql(postgres, *account(PROBE_MD5, "-l"))
    agree(await run("postgresql", postgres.port, credential=PROBE_MD5), await plugin(*arguments))
    postgres.stop()
    try:
        agree(await run("postgresql", postgres.port, credential=PROBE_MD5), await plugin(*arguments))
    finally:
        postgres.start()
    with postgres.given(recovering=True):
        agree(await run("postgresql", postgres.port, credential=PROBE_MD5), await plugin(*arguments))


async def test_check_pgsql_agrees_on_a_server_that_hangs(run: Attempt, plugin: Plugin, postgres: Postgres) -> None:
    arguments = check_pgsql(postgres, *account(PROBE_MD5, "-l"))
    with postgres.suspended():
        agree(await run("postgresql", postgres.port, credential=PROBE_MD5, within=0.5), await plugin(*arguments))


async def test_check_pgsql_cannot_send_a_password_with_a_quote_in_it(
    run: Attempt, plugin: Plugin, postgres: Postgres
) -> None:
    reading = await run("postgresql", postgres.port, credential=PROBE)
    told = await plugin(*check_pgsql(postgres, *account(PROBE, "-l")))
    differ(reading, told, "it puts the password into a text in quotes; ours is a message of its own")


async def test_check_pgsql_blames_the_server_for_our_wrong_password_and_we_do_not(
    run: Attempt, plugin: Plugin, postgres: Postgres
) -> None:
    wrong = Credential("probe", Secret("wrong"))
    reading = await run("postgresql", postgres.port, credential=wrong)
    assert isinstance(reading.failure, Unauthorized)
    because = "it is our password: no evidence against the server"
    differ(reading, await plugin(*check_pgsql(postgres, *account(wrong, "-l"))), because)


async def test_check_pgsql_without_a_password_takes_a_server_that_asks_for_one_for_broken(
    run: Attempt, plugin: Plugin, postgres: Postgres
) -> None:
    because = "a server that asks who we are is up"
    differ(await run("postgresql", postgres.port), await plugin(*check_pgsql(postgres)), because)


@pytest.mark.parametrize(("pieces", "threshold"), [(7, "7:7"), (8, "8:8")])
async def test_check_pgsql_agrees_on_the_value_of_a_query(
    run: Attempt, plugin: Plugin, postgres: Postgres, pieces: int, threshold: str
) -> None:
    query = "SELECT pieces FROM stock WHERE item = 'lamp'"
    arguments = check_pgsql(postgres, *account(PROBE_MD5, "-l"), "-q", query, "-C", threshold)
    reading = await run("postgresql", postgres.port, credential=PROBE_MD5, query=query, expect=pieces)
    agree(reading, await plugin(*arguments))


async def test_check_pgsql_does_not_look_at_certificates(
    run: Attempt, plugin: Plugin, postgres: Postgres, authority: Authority
) -> None:
    options: dict[str, Any] = {"certificate": "verify", "ca_file": authority.file, "hostname": NAME}
    reading = await run("postgresql", postgres.port, credential=PROBE_MD5, **options)
    arguments = check_pgsql(postgres, *account(PROBE_MD5, "-l"))
    differ(reading, await plugin(*arguments), "we were told to judge the certificate, and it is expired")
    agree(await run("postgresql", postgres.port, credential=PROBE_MD5), await plugin(*arguments))


# mysql


@pytest.fixture(scope="module")
def mariadb(peer: Callable[[str], str], authority: Authority) -> Iterator[MariaDb]:
    database = MariaDb(peer("mariadbd"), authority.issue(NAME, ends=now() - DAY))
    with database:
        yield database
    database.remove()


def check_mysql(database: MariaDb, *more: str) -> tuple[str, ...]:
    return ("check_mysql", "-H", "127.0.0.1", "-P", str(database.port), *more)


async def test_check_mysql_agrees_on_a_server_that_lets_us_in_and_one_that_is_stopped(
    run: Attempt, plugin: Plugin, mariadb: MariaDb
) -> None:
    arguments = check_mysql(mariadb, *account(MARIADB_PROBE))
    agree(await run("mysql", mariadb.port, credential=MARIADB_PROBE), await plugin(*arguments))
    mariadb.stop()
    try:
        agree(await run("mysql", mariadb.port, credential=MARIADB_PROBE), await plugin(*arguments))
    finally:
        mariadb.start()


async def test_check_mysql_without_a_credential_passes_where_nobody_is_denied_as_ours_does(
    run: Attempt, plugin: Plugin, mariadb: MariaDb
) -> None:
    agree(await run("mysql", mariadb.port), await plugin(*check_mysql(mariadb, "-n")))


async def test_check_mysql_blames_the_server_for_our_wrong_password_and_we_do_not(
    run: Attempt, plugin: Plugin, mariadb: MariaDb
) -> None:
    wrong = Credential("probe", Secret("wrong"))
    reading = await run("mysql", mariadb.port, credential=wrong)
    assert isinstance(reading.failure, Unauthorized)
    because = "it is our password: no evidence against the server"
    differ(reading, await plugin(*check_mysql(mariadb, *account(wrong))), because)


@pytest.mark.parametrize(("pieces", "threshold"), [(7, "7:7"), (8, "8:8")])
async def test_check_mysql_query_agrees_on_the_value(
    run: Attempt, plugin: Plugin, mariadb: MariaDb, pieces: int, threshold: str
) -> None:
    query = "SELECT pieces FROM stock WHERE item = 'lamp'"
    options: dict[str, Any] = {"credential": MARIADB_PROBE, "database": "shop", "query": query, "expect": pieces}
    arguments = ("-d", "shop", *account(MARIADB_PROBE), "-q", query, "-c", threshold)
    told = await plugin("check_mysql_query", "-H", "127.0.0.1", "-P", mariadb.port, *arguments)
    agree(await run("mysql", mariadb.port, **options), told)


# ldap


@pytest.fixture
def slapd(peer: Callable[[str], str], tmp_path: Path, authority: Authority) -> Slapd:
    return Slapd(peer("slapd"), tmp_path, authority.issue(NAME, ends=now() - DAY))


async def test_check_ldap_agrees_on_a_directory_up_and_stopped(run: Attempt, plugin: Plugin, slapd: Slapd) -> None:
    arguments = ("check_ldap", "-H", "127.0.0.1", "-p", slapd.port, "-3", "-b", BASE)
    log_in = ("-D", LDAP_PROBE.username, "-P", LDAP_PROBE.password.reveal())
    with slapd:
        agree(await run("ldap", slapd.port, base=BASE), await plugin(*arguments))
        reading = await run("ldap", slapd.port, credential=LDAP_PROBE, base=BASE)
        agree(reading, await plugin(*arguments, *log_in))
    agree(await run("ldap", slapd.port, base=BASE), await plugin(*arguments))


async def test_check_ldap_finds_nothing_and_is_content(run: Attempt, plugin: Plugin, slapd: Slapd) -> None:
    arguments = ("check_ldap", "-H", "127.0.0.1", "-p", slapd.port, "-3", "-b", BASE)
    with slapd:
        reading = await run("ldap", slapd.port, base=BASE, filter="(cn=none)")
        assert isinstance(reading.failure, WrongContent)
        told = await plugin(*arguments, "-a", "(cn=none)")
    differ(reading, told, "an entry that was to be found and is not there is a failure")


async def test_check_ldap_blames_the_server_for_our_wrong_password_and_we_do_not(
    run: Attempt, plugin: Plugin, slapd: Slapd
) -> None:
    wrong = Credential(LDAP_PROBE.username, Secret("wrong"))
    arguments = ("check_ldap", "-H", "127.0.0.1", "-p", slapd.port, "-3", "-b", BASE)
    with slapd:
        reading = await run("ldap", slapd.port, credential=wrong, base=BASE)
        told = await plugin(*arguments, "-D", wrong.username, "-P", "wrong")
    assert isinstance(reading.failure, Unauthorized)
    differ(reading, told, "it is our password: no evidence against the server")


async def test_check_ldaps_and_we_refuse_an_expired_certificate(
    run: Attempt, plugin: Plugin, slapd: Slapd, authority: Authority
) -> None:
    with slapd:
        reading = await run("ldaps", slapd.tls_port, hostname=NAME, ca_file=authority.file, base=BASE)
        told = await plugin("check_ldaps", "-H", "127.0.0.1", "-p", slapd.tls_port, "-3", "-b", BASE)
    agree(reading, told)
