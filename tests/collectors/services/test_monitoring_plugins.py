"""http, ssh and tcp beside Debian's plug-ins on the same peers, up and broken: the same verdict, or a reason."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.failures import CertificateFailure, TimedOut, Unauthorized
from collectors.secret import Credential, Secret
from tests.peers.certificates import DAY, Authority, now
from tests.peers.monitoring_plugins import Plugin, agree, differ
from tests.peers.nginx import Nginx
from tests.peers.process import free_port
from tests.peers.scripted import Attempt, Serve, says
from tests.peers.sshd import Sshd

NAME = "shop.example"
SITE = """
location / { return 200 "ready\n"; }
location /teapot { return 418; }
location /broken { return 500; }
location /busy { return 503; }
location /hidden { return 404; }
location /moved { return 302 /ready; }
location /circle { return 302 /circle; }
location /private { auth_basic "private"; auth_basic_user_file FOLDER/users; alias FOLDER/; }
"""


@pytest.fixture
def site(peer: Callable[[str], str], tmp_path: Path, authority: Authority) -> Nginx:
    (tmp_path / "users").write_text("probe:{PLAIN}right\n", "utf-8")
    (tmp_path / "page").write_text("ready\n", "utf-8")
    server = SITE.replace("FOLDER", str(tmp_path))
    return Nginx(peer("nginx"), tmp_path, server, authority.issue(NAME, ends=now() - DAY))


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


# http


@pytest.mark.parametrize("path", ["/", "/teapot", "/broken", "/busy", "/hidden", "/circle"])
async def test_check_http_agrees_on_pages_good_and_bad(run: Attempt, plugin: Plugin, site: Nginx, path: str) -> None:
    with site:
        told = await plugin("check_http", "-I", "127.0.0.1", "-p", site.port, "-u", path, "-f", "sticky")
        agree(await run("http", site.port, path=path), told)


async def test_check_http_takes_a_redirect_for_good_without_looking_where_it_leads(
    run: Attempt, plugin: Plugin, site: Nginx
) -> None:
    arguments = ("check_http", "-I", "127.0.0.1", "-p", site.port, "-u", "/circle")
    with site:
        because = "its default is to take every redirect for an answer; ours are followed, since a browser does that"
        differ(await run("http", site.port, path="/circle"), await plugin(*arguments), because)
        agree(await run("http", site.port, path="/circle", expect_status=[302]), await plugin(*arguments))


@pytest.mark.parametrize("text", ["ready", "sold out"])
async def test_check_http_agrees_on_what_is_in_the_body(run: Attempt, plugin: Plugin, site: Nginx, text: str) -> None:
    with site:
        told = await plugin("check_http", "-I", "127.0.0.1", "-p", site.port, "-s", text)
        agree(await run("http", site.port, expect_body=text), told)


async def test_check_http_blames_the_server_for_our_wrong_password_and_we_do_not(
    run: Attempt, plugin: Plugin, site: Nginx
) -> None:
    with site:
        for password in ("right", "wrong"):
            credential = Credential("probe", Secret(password))
            reading = await run("http", site.port, path="/private/page", credential=credential)
            arguments = ("-p", site.port, "-u", "/private/page", "-a", f"probe:{password}")
            told = await plugin("check_http", "-I", "127.0.0.1", *arguments)
            if password == "right":
                agree(reading, told)
            else:
                assert isinstance(reading.failure, Unauthorized)
                differ(reading, told, "the password is ours: the attempt is void and touches no customer's clock")


async def test_check_http_does_not_judge_certificates_and_we_do(
    run: Attempt, plugin: Plugin, site: Nginx, authority: Authority
) -> None:
    with site:
        where = ("check_http", "-I", "127.0.0.1", "-p", site.tls_port, "-H", NAME, "-S", "--sni")
        reading = await run("https", site.tls_port, hostname=NAME, ca_file=authority.file)
        assert isinstance(reading.failure, CertificateFailure)
        differ(reading, await plugin(*where), "it looks at certificates only with -C, and then at their end alone")
        agree(reading, await plugin(*where, "-C", "1"))
        ignoring = await run("https", site.tls_port, hostname=NAME, certificate="ignore")
        agree(ignoring, await plugin(*where))


async def test_check_http_agrees_on_a_stopped_and_a_stuck_server(run: Attempt, plugin: Plugin, serve: Serve) -> None:
    closed = free_port()
    agree(await run("http", closed), await plugin("check_http", "-I", "127.0.0.1", "-p", closed))
    stuck = await serve(silent)
    reading = await run("http", stuck, within=1.0)
    assert isinstance(reading.failure, TimedOut)
    agree(reading, await plugin("check_http", "-I", "127.0.0.1", "-p", stuck, "-t", "1"))


async def test_check_http_agrees_that_another_protocol_is_no_web_server(
    run: Attempt, plugin: Plugin, serve: Serve
) -> None:
    port = await serve(says(b"220 mail.example ESMTP\r\n"))
    told = await plugin("check_http", "-I", "127.0.0.1", "-p", port, "-t", "1")
    agree(await run("http", port), told)


# ssh


async def test_check_ssh_agrees_on_a_server_that_is_up_stopped_or_stuck(
    run: Attempt, plugin: Plugin, serve: Serve, peer: Callable[[str], str], tmp_path: Path
) -> None:
    with Sshd(peer("sshd"), tmp_path) as sshd:
        agree(await run("ssh", sshd.port), await plugin("check_ssh", "-p", sshd.port, "127.0.0.1"))
        sshd.kill()
        agree(await run("ssh", sshd.port), await plugin("check_ssh", "-p", sshd.port, "127.0.0.1"))
    stuck = await serve(silent)
    agree(await run("ssh", stuck, within=1.0), await plugin("check_ssh", "-p", stuck, "-t", "1", "127.0.0.1"))


async def test_check_ssh_agrees_that_another_protocol_is_no_ssh_server(
    run: Attempt, plugin: Plugin, site: Nginx
) -> None:
    with site:
        told = await plugin("check_ssh", "-p", site.port, "-t", "2", "127.0.0.1")
        agree(await run("ssh", site.port), told)


# tcp


@pytest.mark.parametrize("answer", [b"+PONG\r\n", b"-ERR unknown command\r\n", b""])
async def test_check_tcp_agrees_on_a_dialogue(run: Attempt, plugin: Plugin, serve: Serve, answer: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await reader.read()

    port = await serve(script)
    where = ("-H", "127.0.0.1", "-p", port, "-t", "1", "-E", "-s", "PING\\r\\n", "-e", "+PONG", "-M", "crit")
    reading = await run("tcp", port, within=1.0, steps=[{"send": "PING\\r\\n"}, {"expect": "+PONG"}])
    agree(reading, await plugin("check_tcp", *where))


async def test_check_tcp_agrees_on_a_stopped_server(run: Attempt, plugin: Plugin) -> None:
    closed = free_port()
    agree(await run("tcp", closed), await plugin("check_tcp", "-H", "127.0.0.1", "-p", closed))
