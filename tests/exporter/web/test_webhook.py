"""The webhook: who may call it, and that 200 is said only when the ledger has what came."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.contract.incidents import IncidentEvent, Kind, What, opening
from exporter.inventory import Alertmanager, Config, Contact, CredentialEntry, Mail, Noc, SecretSource, Settings
from exporter.ledger import incident_record
from exporter.monitor import Monitor
from tests.exporter.web.conftest import Certificates, Start

PATH = "/api/v1/alertmanager"
ALERT = {"status": "firing", "labels": {"notify": "customer", "server": "web01", "check": "https"}}
BODY = json.dumps({"version": "4", "alerts": [ALERT]})
USERS = "basic_auth_users: {noc: $2b$04$hWKLNFpAVdUmEIEpANIfLeaYXAAqG4o7o4zqCQHVMrFg/RNEDWkHG}\n"
BEARER = {"Authorization": "Bearer s3cret"}


def with_ledger(config: Config, folder: Path, username: str = "") -> Config:
    file = folder / "hook"
    file.write_text("s3cret\n")
    credential = CredentialEntry("hook", {"username": username} if username else {}, {"password": SecretSource(file)})
    return replace(
        config,
        settings=Settings(notices="ledger"),
        mail=Mail("127.0.0.1", 1, "noc@provider.example", "none"),
        noc=Noc(contacts=(Contact("NOC", "noc@provider.example"),)),
        alertmanager=Alertmanager(webhook_credential="hook"),
        credentials={"hook": credential},
    )


@pytest.fixture
async def monitor(monitor: Monitor, tmp_path: Path) -> Monitor:
    """Let https be down for so long that the customer has to be told."""
    await monitor._apply(with_ledger(monitor.config, tmp_path))
    server = monitor.config.servers["web01"]
    opened = opening(Kind.OUTAGE, server, 1_000, monitor.duties.incidents.zone)
    events = [
        opened,
        IncidentEvent(opened.incident, What.CHECK_DOWN, 1_000, "https", {"reason": "refused", "step": "connect"}),
        IncidentEvent(opened.incident, What.LIMIT_REACHED, 601_000, "https"),
    ]
    monitor.duties.incidents.take_in(events)
    await monitor.ledger.save([incident_record(event) for event in events])
    return monitor


def alerted(monitor: Monitor) -> list[str]:
    return [event.subject for _, event in monitor.ledger.incident_events() if event.what is What.ALERTED]


async def test_what_is_answered_with_200_is_in_the_ledger_once(monitor: Monitor, start: Start) -> None:
    client = await start()
    for _ in range(2):
        assert (await client.get(PATH, "POST", data=BODY, headers=BEARER))[0] == 200
        assert alerted(monitor) == ["check/https"]


async def test_without_the_secret_not_even_this_machine_is_listened_to(monitor: Monitor, start: Start) -> None:
    client = await start()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "\udcff"}):
        status, text = await client.get(PATH, "POST", data=BODY, headers=headers)
        assert status == 403
        assert "webhook_credential" in text
    assert alerted(monitor) == []


async def test_user_and_password_do_as_well(monitor: Monitor, start: Start, tmp_path: Path) -> None:
    await monitor._apply(with_ledger(monitor.config, tmp_path, "alertmanager"))
    client = await start()
    # base64 of alertmanager:s3cret
    basic = {"Authorization": "Basic YWxlcnRtYW5hZ2VyOnMzY3JldA=="}
    assert (await client.get(PATH, "POST", data=BODY, headers=basic))[0] == 200
    assert (await client.get(PATH, "POST", data=BODY, headers=BEARER))[0] == 403


async def test_the_secret_opens_the_webhook_and_nothing_else(monitor: Monitor, start: Start) -> None:
    client = await start("0.0.0.0:0", USERS)
    assert (await client.get(PATH, "POST", data=BODY, headers=BEARER))[0] == 200
    assert (await client.get("/metrics", headers=BEARER))[0] == 401
    assert (await client.get(PATH, "POST", data=BODY))[0] == 401


@pytest.mark.parametrize("users", [False, True], ids=["alone", "where others need a password"])
async def test_a_verified_client_certificate_is_enough(
    monitor: Monitor, start: Start, certificates: Certificates, users: bool
) -> None:
    await monitor._apply(replace(monitor.config, alertmanager=Alertmanager(webhook_cert_file=Path("am.pem"))))
    certificates.issue("alertmanager", "alertmanager.example")
    tls = (
        "cert_file: server.pem, key_file: server.key, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem"
    )
    client = await start("127.0.0.1:0", f"tls_server_config: {{{tls}}}\n{USERS if users else ''}")
    context = certificates.client_context("alertmanager")
    assert (await client.get(PATH, "POST", data=BODY, ssl=context))[0] == 200
    assert alerted(monitor) == ["check/https"]
    status, _ = await client.get(PATH, "POST", data=BODY, ssl=certificates.client_context())
    assert status == (401 if users else 403)
    status, _ = await client.get("/metrics", ssl=context)
    assert status == (401 if users else 200)


async def test_what_will_never_be_right_is_refused_for_good(monitor: Monitor, start: Start) -> None:
    client = await start()
    assert (await client.get(PATH, "POST", data="{", headers=BEARER))[0] == 400
    assert (await client.get(PATH, "POST", data="[" * 100_000, headers=BEARER))[0] == 400
    assert (await client.get(PATH, "POST", data=io.BytesIO(b"x" * 2_000_000), headers=BEARER))[0] == 413
    assert (await client.get(PATH, headers=BEARER))[0] == 405


async def test_while_the_ledger_cannot_be_written_alertmanager_is_told_to_come_back(
    monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_records: object) -> bool:
        return False

    client = await start()
    monkeypatch.setattr(monitor.ledger, "save", fails)
    for _ in range(2):
        assert (await client.get(PATH, "POST", data=BODY, headers=BEARER))[0] == 503
    monkeypatch.undo()
    assert (await client.get(PATH, "POST", data=BODY, headers=BEARER))[0] == 200


async def test_before_the_inventory_is_known_alertmanager_is_told_to_come_back(monitor: Monitor, start: Start) -> None:
    client = await start()
    monitor.ready = False
    assert (await client.get(PATH, "POST", data=BODY, headers=BEARER))[0] == 503


async def test_where_alertmanager_tells_customers_the_webhook_takes_nothing(monitor: Monitor, start: Start) -> None:
    await monitor._apply(replace(monitor.config, settings=Settings(notices="alertmanager")))
    client = await start()
    assert (await client.get(PATH, "POST", data=BODY, headers=BEARER))[0] == 409
    assert alerted(monitor) == []
