"""check-config: what it prints, and its exit status."""

from io import StringIO
from pathlib import Path

from exporter.config import check

CUSTOMER = "customers: [{id: c0001, name: A, managed: true, contacts: [{name: a, email: a@customer.example}]}]\n"


def run(file: Path, text: str, rules: Path) -> tuple[int, list[str]]:
    file.write_text(text)
    out = StringIO()
    status = check(file, rules, out)
    return status, out.getvalue().replace(f"{file.parent}/", "").splitlines()


def test_a_good_file_is_summed_up_and_gives_0(tmp_path: Path, rules: Path) -> None:
    server = "servers: [{name: a, customer: c0001, address: 192.0.2.1, services: [ssh, http]}]\n"
    status, lines = run(tmp_path / "dserver.yml", CUSTOMER + server, rules)
    assert (status, lines) == (0, ["dserver.yml: OK: 1 server, 2 checks, 0 lamp sources, 1 customer"])


def test_warnings_are_printed_and_give_0(tmp_path: Path, rules: Path) -> None:
    server = "servers: [{name: a, customer: c0001, address: 192.0.2.1, managed: false, services: [ssh]}]\n"
    status, lines = run(tmp_path / "dserver.yml", CUSTOMER + server, rules)
    assert status == 0
    assert lines[0].startswith("dserver.yml:2: warning: servers[0].services: ")
    assert lines[1] == "dserver.yml: OK: 1 server, 1 check, 0 lamp sources, 1 customer, 1 warning"


def test_errors_come_first_in_the_order_of_their_lines_and_give_1(tmp_path: Path, rules: Path) -> None:
    text = "noc: {contacts: []}\nglobal:\n  timeout: 3\n  interval: 10\n" + CUSTOMER + "servers: [x]\n"
    status, lines = run(tmp_path / "dserver.yml", text, rules)
    assert status == 1
    assert [line.split(": ")[0] for line in lines[:-1]] == [f"dserver.yml:{line}" for line in (3, 4, 6, 1)]
    assert lines[-1] == "dserver.yml: 3 errors, 1 warning"
