"""The program as an operator runs it: its messages, its signals, its exit statuses."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.demo.endpoints import SSH_GREETING

PROGRAM = [sys.executable, "-c", "from exporter.cli import main; main()"]
CONFIG = """\
global: {interval: 800ms, recheck_interval: 500ms, timeout: 400ms, outage_notice_after: 1s}
customers: [{id: c0001, name: Example, managed: true, contacts: [{name: Desk, email: ops@customer.example}]}]
servers:
  - {name: web01, customer: c0001, address: 127.0.0.1, services: [{protocol: ssh, port: PORT}]}
"""


class Process:
    """A running exporter. ``wait_for`` reads its log up to a line."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._process = subprocess.Popen(
            [*PROGRAM, "--web.listen-address=127.0.0.1:0", *flags],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.url = ""

    def wait_for(self, pattern: str) -> str:
        assert self._process.stderr
        seen = []
        for line in self._process.stderr:
            seen.append(line)
            if found := re.search(r"listens on (http://\S+/);", line):
                self.url = found[1]
            if re.search(pattern, line):
                return line
        pytest.fail(f"{pattern} was not said: {''.join(seen)}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        status = self._process.wait(timeout=30)
        assert self._process.stderr
        self._process.stderr.close()
        return status

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            body: bytes = answer.read()
        return body.decode()

    def post(self, path: str) -> tuple[int, str]:
        request = urllib.request.Request(self.url + path, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[Process]:
    process = Process(folder, *flags)
    try:
        process.wait_for("watching")
        yield process
    finally:
        process.signal(signal.SIGKILL)
        process.end()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, env=environment, check=False
    )


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.fixture
def folder(tmp_path: Path, closed_port: int) -> Path:
    (tmp_path / "dserver.yml").write_text(CONFIG.replace("PORT", str(closed_port)))
    return tmp_path


def test_sighup_reads_the_configuration_again_and_a_bad_one_changes_nothing(folder: Path) -> None:
    file = folder / "dserver.yml"
    good = file.read_text()
    with running(folder) as process:
        file.write_text(good.replace("web01", "web02"))
        process.signal(signal.SIGHUP)
        process.wait_for("was read again")
        assert 'server="web02"' in process.get("metrics")
        assert 'server="web01"' not in process.get("metrics")
        file.write_text(good + "nonsense: 1\n")
        process.signal(signal.SIGHUP)
        process.wait_for("the old one stays in force")
        metrics = process.get("metrics")
        assert "dserver_exporter_config_last_reload_successful 0.0" in metrics
        assert 'server="web02"' in metrics
        status, text = process.post("-/reload")
        assert status == 500
        assert "nonsense" in text
        file.write_text(good)
        assert process.post("-/reload")[0] == 200


def test_sigterm_ends_it_with_status_0_and_gives_the_storage_path_free(folder: Path) -> None:
    process = Process(folder)
    process.wait_for("watching")
    process.signal(signal.SIGTERM)
    assert process.end() == 0
    with running(folder):
        pass


def test_kill_9_and_a_restart_keep_down_since(folder: Path, closed_port: int) -> None:
    def since(process: Process) -> str:
        found = re.search(r"dserver_service_down_since_timestamp_seconds\{.*\} (\S+)", process.get("metrics"))
        return found[1] if found else ""

    with socket.create_server(("127.0.0.1", closed_port)) as server, running(folder, "--log.level=debug") as process:
        connection, _ = server.accept()
        connection.sendall(SSH_GREETING)
        process.wait_for("untried -> up")
        connection.close()
        server.close()
        process.wait_for("up -> down")
        before = since(process)
    assert before
    with running(folder) as again:
        assert since(again) == before


def test_a_second_process_on_the_same_storage_path_is_refused_and_told_who_has_it(folder: Path) -> None:
    with running(folder):
        second = run(folder, "--web.listen-address=127.0.0.1:0")
    assert second.returncode == 1
    assert "belongs to dserver-exporter, process" in second.stderr
    assert "--storage.path=" in second.stderr


def test_a_port_in_use_is_named_with_the_remedy(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = run(folder, f"--web.listen-address=127.0.0.1:{taken.getsockname()[1]}")
    assert answer.returncode == 1
    assert "in use" in answer.stderr
    assert "--web.listen-address" in answer.stderr


def test_a_missing_configuration_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    answer = run(tmp_path, "--web.listen-address=127.0.0.1:0")
    assert answer.returncode == 1
    assert "dserver.yml: does not exist" in answer.stderr
    assert "--config.file" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_check_config_exits_0_for_a_good_and_1_for_a_bad_file(folder: Path) -> None:
    good = run(folder, "check-config")
    assert (good.returncode, "OK: 1 server, 1 check" in good.stdout) == (0, True)
    with (folder / "dserver.yml").open("a") as file:
        file.write("nonsense: 1\n")
    bad = run(folder, "check-config", "--config.file=dserver.yml")
    assert bad.returncode == 1
    assert "nonsense" in bad.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["probe", "web01", "ssh"], 2, "CRITICAL: refused at connect"),
        (["probe", "web01"], 2, "CRITICAL: refused at connect"),
        (["probe", "web01", "lamps"], 3, "UNKNOWN: nothing to probe on web01; it has: ssh"),
        (["probe", "web01", "imap"], 3, "UNKNOWN: no check 'imap' on web01; it has: ssh"),
        (["probe", "web09"], 3, "UNKNOWN: no server 'web09' in the configuration; it has: web01"),
        (["--config.file=dserver.yml", "probe", "web01", "ssh"], 2, "CRITICAL"),
    ],
)
def test_probe_says_what_it_saw_and_exits_as_monitoring_plugins_do(
    folder: Path, arguments: list[str], status: int, said: str
) -> None:
    answer = run(folder, *arguments)
    assert said in answer.stdout
    assert answer.returncode == status


def test_a_probe_of_a_service_that_answers_is_ok(folder: Path, closed_port: int) -> None:
    with socket.create_server(("127.0.0.1", closed_port)) as server:
        process = subprocess.Popen(
            [*PROGRAM, "probe", "web01", "ssh"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        connection, _ = server.accept()
        connection.sendall(SSH_GREETING)
        said, _ = process.communicate(timeout=30)
        connection.close()
    assert "SSH-2.0-demo" in said
    assert "OK: it answers as it should" in said
    assert process.returncode == 0


def test_a_probe_without_a_readable_configuration_is_unknown(tmp_path: Path) -> None:
    assert run(tmp_path, "probe", "web01").returncode == 3


def test_help_and_version_look_as_a_prometheus_user_expects(tmp_path: Path) -> None:
    text = run(tmp_path, "--help").stdout
    flags = (
        "--config.file",
        "--web.listen-address",
        "--web.config.file",
        "--storage.path",
        "--log.level",
        "--log.format",
    )
    for flag in flags:
        assert flag in text
    for command in ("check-config", "probe", "alertmanager-config", "demo"):
        assert command in text
    assert run(tmp_path, "--version").stdout.startswith("dserver-exporter 0.1.0")


def test_a_flag_counts_before_a_command_as_after_it(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file, storage = f"--config.file={folder / 'dserver.yml'}", f"--storage.path={folder / 'nowhere'}"
    assert run(elsewhere, file, "check-config").returncode == 0
    for command in (("maintenance", "list"), ("incidents", "list"), ("backup", "x.db")):
        for arguments in ((file, storage, *command), (*command, file, storage)):
            assert f"there is no ledger in {folder / 'nowhere'}" in run(elsewhere, *arguments).stderr


def test_log_lines_are_logfmt_or_json(folder: Path) -> None:
    with running(folder, "--log.format=json") as process:
        process.signal(signal.SIGHUP)
        assert process.wait_for("read again").startswith('{"ts": "')
    with running(folder) as process:
        process.signal(signal.SIGHUP)
        assert re.match(r"ts=\S+Z level=info component=monitor msg=", process.wait_for("read again"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["check-config", "dserver.yml"],
            "dserver.yml: unexpected; a configuration is named with --config.file=dserver.yml",
        ),
        (["--config-file=a.yml"], "--config-file=a.yml: there is no such flag; did you mean --config.file=a.yml?"),
        (["check-config", "--rule.path=x"], "--rule.path=x: there is no such flag; did you mean --rules.path=x?"),
        (["--nonsense"], "--nonsense: there is no such flag"),
        (["incidents", "list", "web01"], "web01: unexpected; dserver-exporter incidents list --help"),
        (["incidents", "open", "web01", "--frm=x"], "--frm=x: there is no such flag; did you mean --from=x?"),
        (
            ["--config.file=dserver.yml", "--format=json", "incidents", "list"],
            "--format=json stands before its command: write it behind dserver-exporter incidents list",
        ),
        (
            ["check-config", "--storage.path=x"],
            "--storage.path=x: there is no such flag; dserver-exporter check-config",
        ),
        (["serve"], "invalid choice: 'serve'"),
    ],
)
def test_a_command_line_that_is_none_gets_one_line_that_says_what_was_meant(
    folder: Path, arguments: list[str], sentence: str
) -> None:
    finished = run(folder, *arguments)
    assert finished.returncode == 2
    assert sentence in finished.stderr
    assert "--help" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_flags_that_all_commands_take_may_stand_anywhere_among_them(folder: Path) -> None:
    missing = "there is no ledger in nowhere"
    flag = "--storage.path=nowhere"
    for arguments in ([flag, "incidents", "list"], ["incidents", flag, "list"], ["incidents", "list", flag]):
        assert missing in run(folder, *arguments).stderr


def test_a_reader_that_has_seen_enough_is_no_error_to_speak_of(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    finished = subprocess.run(
        [*PROGRAM, "check-config"],
        cwd=folder,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(writing)
    assert (finished.returncode, "BrokenPipe" in finished.stderr) == (128 + signal.SIGPIPE, False)


def test_a_probe_that_was_not_understood_is_unknown_and_not_critical(folder: Path) -> None:
    assert run(folder, "probe").returncode == 3
    assert run(folder, "probe", "web01", "ssh", "nonsense").returncode == 3


def test_a_probe_that_takes_long_says_so_beside_its_output(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = CONFIG.replace("PORT", str(silent.getsockname()[1])).replace("timeout: 400ms", "timeout: 3s")
        (folder / "dserver.yml").write_text(config)
        finished = run(folder, "probe", "web01", "ssh")
    assert finished.returncode == 2
    assert re.search(r"^\.\.\. web01/ssh under way, 2 s so far$", finished.stderr, re.MULTILINE)
    assert "under way" not in finished.stdout
