"""A Dell server as its iDRAC shows it by SNMP, and the module with which snmp_exporter walks the same objects of it."""

import json
from collections.abc import Iterator

from collectors.hardware.snmp.vendors import dell
from tests.peers.snmpd import Served, User

USER = User("monitor", "SHA-256", "AES", priv_password="auth-password")
"""Who reads by v3, with authentication and encryption, and one password for both."""

PASSWORDS = {"v2c": "public", "v3": USER.auth_password}
CREDENTIALS = {
    "v2c": {"values": {}, "secrets": {"community": PASSWORDS["v2c"]}},
    "v3": {
        "values": {"username": USER.name, "auth_protocol": "SHA-256", "priv_protocol": "AES-128"},
        "secrets": {"auth_password": USER.auth_password, "priv_password": USER.priv_password},
    },
}
"""By the names of snmp_exporter's ``auths``."""

TABLES = (
    ("4.300.70.1", 1, (5, 6)),
    ("4.600.12.1", 2, (5, 11, 16)),
    ("4.600.20.1", 20, (5, 6)),
    ("4.600.30.1", 3, (5, 6, 7)),
    ("4.600.50.1", 1, (5,)),
    ("4.700.12.1", 6, (5, 6)),
    ("4.700.20.1", 4, (5, 6)),
    ("4.1100.30.1", 2, (5,)),
    ("4.1100.50.1", 8, (5,)),
    ("5.1.20.130.1.1", 1, (38,)),
    ("5.1.20.130.4.1", 8, (24, 4, 31)),
    ("5.1.20.140.1.1", 2, (20,)),
)
"""Entry, number of rows, and the columns that are numbers."""

NORMAL = {(table, column): 3 for table, _, columns in TABLES for column in columns} | {
    ("4.300.70.1", 6): 1,
    ("4.600.12.1", 11): 1,
    ("5.1.20.130.4.1", 31): 0,
}
NAMES = {table.entry.removeprefix(f"{dell.IDRAC}."): table.names[:1] for table in dell.VENDOR.tables}


def served() -> Served:
    """Return the tree: every part in order, with its name."""
    tree: dict[str, tuple[str, int | str]] = {}
    for scalar in dell.VENDOR.scalars:
        if scalar.oid.startswith(dell.IDRAC):
            tree[scalar.oid] = ("integer", 3)
    tree |= {f"{dell.IDRAC}.{oid}": ("octet_str", "PowerEdge") for oid in ("1.3.12.0", "1.3.2.0", "1.1.8.0")}
    tree[f"{dell.IDRAC}.2.4.0"] = ("integer", 4)
    for table, rows, columns in TABLES:
        for row in range(1, rows + 1):
            index = str(row) if table.startswith("5") else f"1.{row}"
            for column in columns:
                tree[f"{dell.IDRAC}.{table}.{column}.{index}"] = ("integer", NORMAL[table, column])
            for column in NAMES[table]:
                tree[f"{dell.IDRAC}.{table}.{column}.{index}"] = ("octet_str", f"Part {table} {row}")
    return tree


def module() -> str:
    """Return snmp_exporter's configuration, which is YAML and here its subset JSON."""
    tree = served()
    module = {
        "walk": [f"{dell.IDRAC}.{table}.{column}" for table, column in _columns()],
        "get": [oid for oid in dell.VENDOR.objects if oid in tree],
        "metrics": list(_metrics(tree)),
        "max_repetitions": 25,
    }
    v3 = {
        "version": 3,
        "username": USER.name,
        "security_level": "authPriv",
        "auth_protocol": "SHA256",
        "password": USER.auth_password,
        "priv_protocol": "AES",
        "priv_password": USER.priv_password,
    }
    auths = {"v2c": {"version": 2, "community": "public"}, "v3": v3}
    return json.dumps({"auths": auths, "modules": {"lamps": module}})


def _columns() -> Iterator[tuple[str, int]]:
    for table, _, columns in TABLES:
        for column in (*columns, *NAMES[table]):
            yield table, column


def _metrics(tree: Served) -> Iterator[dict[str, object]]:
    for table, _, columns in TABLES:
        depth = 1 if table.startswith("5") else 2
        indexes = [{"labelname": f"index{place}", "type": "gauge"} for place in range(depth)]
        for column in columns:
            yield _metric(f"{table}.{column}", "gauge") | {"indexes": indexes}
        for column in NAMES[table]:
            yield _metric(f"{table}.{column}", "DisplayString") | {"indexes": indexes}
    for oid, (kind, _) in tree.items():
        if oid in dell.VENDOR.objects:
            yield _metric(oid.removeprefix(f"{dell.IDRAC}."), "gauge" if kind == "integer" else "DisplayString")


def _metric(oid: str, kind: str) -> dict[str, object]:
    name = f"lamp_{oid.replace('.', '_')}"
    return {"name": name, "oid": f"{dell.IDRAC}.{oid}", "type": kind, "help": "-"}
