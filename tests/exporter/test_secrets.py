"""Secrets come from files and the environment, are fetched for each attempt and shown to nobody."""

import os
from pathlib import Path

import pytest

from collectors.failures import Misconfigured
from collectors.secret import Secret
from exporter.inventory import CredentialEntry, SecretSource
from exporter.secrets import Secrets


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bmc"
    path.write_text("hunter2\n")
    return path


def secrets(file: Path) -> Secrets:
    source = SecretSource(file=file)
    return Secrets({"bmc": CredentialEntry("bmc", {"username": "monitor"}, {"password": source})})


def fault(of: Secrets, name: str = "bmc") -> str:
    with pytest.raises(Misconfigured) as failure:
        of.get(name)
    assert failure.value.step == "credential"
    assert "hunter2" not in str(failure.value)
    return failure.value.detail


def test_a_file_is_read_without_its_last_line_break(file: Path) -> None:
    credential = secrets(file).get("bmc")
    assert (credential.username, credential.password.reveal()) == ("monitor", "hunter2")
    file.write_text("trailing space \r\n")
    assert secrets(file).get("bmc").password.reveal() == "trailing space "


def test_only_a_private_key_may_have_more_than_one_line(file: Path) -> None:
    file.write_text("-----BEGIN\nhunter2\n-----END\n")
    entry = CredentialEntry("ssh", {}, {"private_key": SecretSource(file=file)})
    key = Secrets({"ssh": entry}).get("ssh").secrets["private_key"]
    assert key.reveal() == "-----BEGIN\nhunter2\n-----END"
    assert "more than one line" in fault(secrets(file))


def test_a_changed_file_counts_from_the_next_attempt_on(file: Path) -> None:
    of = secrets(file)
    assert of.get("bmc").password.reveal() == "hunter2"
    file.write_text("hunter3\n")
    os.utime(file, ns=(0, 1))
    assert of.get("bmc").password.reveal() == "hunter3"


def test_a_file_that_was_exchanged_counts_also_with_the_same_time_and_size(file: Path) -> None:
    of = secrets(file)
    before = file.stat()
    assert of.get("bmc").password.reveal() == "hunter2"
    new = file.with_name("new")
    new.write_text("hunter3\n")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.rename(file)
    assert of.get("bmc").password.reveal() == "hunter3"


def test_an_unchanged_file_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = secrets(file)
    first = of.get("bmc").password
    monkeypatch.delattr(Path, "read_bytes")
    assert of.get("bmc").password is first


def test_a_secret_may_come_from_the_environment(file: Path) -> None:
    entry = CredentialEntry("snmp", secrets={"community": SecretSource(env="COMMUNITY")})
    credential = Secrets({"snmp": entry}, {"COMMUNITY": "hunter2"}).get("snmp")
    assert credential.secrets == {"community": Secret("hunter2")}
    assert credential.password.reveal() == ""
    assert "COMMUNITY is not set" in fault(Secrets({"snmp": entry}, {}), "snmp")


def test_plain_values_come_along(file: Path) -> None:
    entry = CredentialEntry("v3", {"username": "m", "auth_protocol": "SHA-256"}, {"auth_password": SecretSource(file)})
    assert Secrets({"v3": entry}).get("v3").values == {"username": "m", "auth_protocol": "SHA-256"}


def test_new_credentials_replace_the_old_ones(file: Path) -> None:
    of = secrets(file)
    of.get("bmc")
    of.replace({})
    assert "there is no credential called bmc" in fault(of)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\nhunter3\n", "more than one line"),
        (b"hunter2\rQUIT", "more than one line"),
        (b"hunter2\xff", "is not UTF-8"),
        (b"hunter2" * 10_000, "larger than a secret"),
    ],
)
def test_what_cannot_be_a_secret_is_told_with_the_name_of_its_file(file: Path, content: bytes, sentence: str) -> None:
    file.write_bytes(content)
    detail = fault(secrets(file))
    assert sentence in detail
    assert str(file) in detail


def test_a_missing_file_is_told_and_counts_again_when_it_is_back(file: Path) -> None:
    of = secrets(file)
    of.get("bmc")
    file.rename(file.with_name("away"))
    assert fault(of).endswith("No such file or directory: create it")
    file.with_name("away").rename(file)
    assert of.get("bmc").password.reveal() == "hunter2"


def test_a_pipe_does_not_block(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)
    assert "is not a file" in fault(secrets(file))


def test_a_file_without_permission_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path) -> bytes:  # as root, which tests may run as, every file can be read
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert "give the exporter's user permission" in fault(secrets(file))


def test_nothing_shows_a_secret(file: Path) -> None:
    credential = secrets(file).get("bmc")
    assert "hunter2" not in f"{credential!r} {credential} {credential.secrets} {secrets(file)!r}"
