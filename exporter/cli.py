"""The command line, with the habits of Prometheus programs."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from exporter import logs
from exporter.alertmanager_config import AlertmanagerConfigError, alertmanager_config
from exporter.availability_command import add_availability
from exporter.backup import back_up
from exporter.config import ConfigError, Problem, check, load
from exporter.demo import Demo
from exporter.desk import DeskError
from exporter.desk_command import add_incidents, add_lamps
from exporter.events_command import add_events
from exporter.inventory import Config
from exporter.ledger import StorageError
from exporter.maintenance_command import add_maintenance
from exporter.parser import Parser
from exporter.patience import patience
from exporter.probe import Status, probe
from exporter.runner import TooFewDescriptors
from exporter.serve import ServeOptions, run, running, serve
from exporter.telemetry import VERSION
from exporter.web import WebError

DESCRIPTION = """\
Watches leased dedicated servers: reads their hardware lamps, checks their services as a user would, and exposes both as
Prometheus metrics. Without a command it serves."""

EPILOG = """\
First steps:
  dserver-exporter demo                                    an embedded fleet on this machine, nothing to configure
  dserver-exporter check-config --config.file=dserver.yml  is the configuration right?
  dserver-exporter probe web01 https                       run one check now and show its dialogue
  dserver-exporter --config.file=dserver.yml               serve; kill -HUP reads the configuration again"""


DEFAULTS = {
    "config_file": "dserver.yml",
    "log_level": "info",
    "log_format": "logfmt",
    "web_listen_address": "127.0.0.1:10623",
    "web_config_file": "",
    "storage_path": "data/",
}
"""What flags that several commands take are when they are not given."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments, argparse.Namespace(**DEFAULTS))
    if rest:
        options.parser.error(_not_understood(rest[0], options.parser))
    logs.set_up(options.log_level, options.log_format)
    try:
        status = options.run(options)
        sys.stdout.flush()
    except (ConfigError, StorageError, WebError, TooFewDescriptors, AlertmanagerConfigError, DeskError) as error:
        print(f"dserver-exporter: {error}", file=sys.stderr)
        status = Status.UNKNOWN if options.run is _probe else 1
    except BrokenPipeError:  # whoever reads has seen enough: incidents export | head
        status = _hung_up()
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _hung_up() -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail again at the exit
    return 128 + signal.SIGPIPE


def _not_understood(word: str, parser: Parser) -> str:
    if word.startswith("-"):
        return parser.misnamed(word)
    if word.endswith((".yml", ".yaml")):
        return f"{word}: unexpected; a configuration is named with --config.file={word}"
    return f"{word}: unexpected"


def _parser() -> Parser:
    common = Parser(add_help=False, allow_abbrev=False)
    # SUPPRESS: a flag may stand before or after the command; what is not given must not overwrite what was. For the
    # same reason the defaults are none of the parser's: set_defaults would give them to the commands' flags too.
    for name, default, text in (
        ("config.file", "dserver.yml", "Configuration file."),
        ("log.level", "info", "Only log lines of this severity or above: debug, info, warn, error."),
        ("log.format", "logfmt", "Format of log lines: logfmt or json."),
    ):
        choices = {"log.level": list(logs.LEVELS), "log.format": ["logfmt", "json"]}.get(name)
        common.add_argument(
            f"--{name}",
            dest=name.replace(".", "_"),
            default=argparse.SUPPRESS,
            choices=choices,
            metavar=name.split(".")[1].upper(),
            help=f"{text} (default: {default})",
        )
    serving = Parser(add_help=False, allow_abbrev=False)
    serving.add_argument(
        "--web.listen-address",
        dest="web_listen_address",
        default=argparse.SUPPRESS,
        metavar="ADDRESS",
        help="Address and port of the NOC page, /metrics and the other endpoints. (default: 127.0.0.1:10623)",
    )
    serving.add_argument(
        "--web.config.file",
        dest="web_config_file",
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="TLS, client certificates and passwords of the web server, in exporter-toolkit's format. (default: none)",
    )
    storing = Parser(add_help=False, allow_abbrev=False)
    storing.add_argument(
        "--storage.path",
        dest="storage_path",
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="Folder of the ledger, owned by one serving process. (default: data/)",
    )
    parser = Parser(
        prog="dserver-exporter",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[common, serving, storing],
    )
    parser.add_argument("--version", action="version", version=f"dserver-exporter {VERSION}")
    parser.set_defaults(run=_serve, parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    checking = commands.add_parser(
        "check-config",
        parents=[common],
        allow_abbrev=False,
        help="Report every mistake in the configuration. Exit status 0 or 1.",
    )
    checking.add_argument(
        "--rules.path",
        dest="rules_path",
        metavar="PATH",
        help="Folder of the alert rules whose limits are compared. (default: alert_rules/ beside the configuration)",
    )
    checking.set_defaults(parser=checking, run=_check_config, rules_path="")

    probing = commands.add_parser(
        "probe",
        parents=[common],
        allow_abbrev=False,
        help="Run one check or lamp read now and show its dialogue. Never evidence.",
        description="Exit status as monitoring-plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
    )
    probing.add_argument("server", metavar="SERVER", help="Name of a server in the configuration.")
    probing.add_argument(
        "check", metavar="CHECK|lamps", nargs="?", default="", help="What to run; everything by default."
    )
    probing.usage_status = Status.UNKNOWN  # 2 would be CRITICAL to monitoring-plugins
    probing.set_defaults(parser=probing, run=_probe)

    routing = commands.add_parser(
        "alertmanager-config",
        parents=[common],
        allow_abbrev=False,
        help="Print a whole Alertmanager configuration for these customers.",
    )
    routing.set_defaults(parser=routing, run=_alertmanager_config)

    add_incidents(commands, [common, storing])
    add_events(commands, [common, storing])
    add_lamps(commands, [common, storing])
    add_maintenance(commands, [common, storing])
    add_availability(commands, [common, storing])

    backing_up = commands.add_parser(
        "backup",
        parents=[common, storing],
        allow_abbrev=False,
        help="Copy the ledger into a new file, also while the exporter serves (docs/operations.md).",
    )
    backing_up.add_argument("file", metavar="FILE", type=Path, help="A file that does not exist yet.")
    backing_up.set_defaults(parser=backing_up, run=_back_up)

    demo = commands.add_parser(
        "demo",
        parents=[common, serving, storing],
        allow_abbrev=False,
        help="Watch an embedded fleet on this machine, with a short story. Needs no configuration.",
    )
    demo.add_argument(
        "--fleet.path",
        dest="fleet_path",
        default="",
        metavar="PATH",
        help="Folder for servers.yml, the fleet's servers, which --config.file has to include: watch them by a "
        "configuration of your own. (default: by one of the demo's own, with storage of its own)",
    )
    demo.set_defaults(parser=demo, run=_demo)
    return parser


def _serve_options(options: argparse.Namespace, config_file: Path, storage: Path) -> ServeOptions:
    web_config = Path(options.web_config_file) if options.web_config_file else None
    return ServeOptions(config_file, storage, options.web_listen_address, web_config)


def _serve(options: argparse.Namespace) -> int:
    serving = _serve_options(options, Path(options.config_file), Path(options.storage_path))
    run(lambda: serve(serving))
    return 0


def _check_config(options: argparse.Namespace) -> int:
    rules = Path(options.rules_path) if options.rules_path else None
    with patience(f"reading {options.config_file}"):
        return check(Path(options.config_file), rules, sys.stdout)


def _load(options: argparse.Namespace) -> tuple[Config, tuple[Problem, ...]]:
    with patience(f"reading {options.config_file}"):
        return load(Path(options.config_file))


def _probe(options: argparse.Namespace) -> int:
    config, _ = _load(options)
    return asyncio.run(probe(config, options.server, options.check, _say))


def _alertmanager_config(options: argparse.Namespace) -> int:
    config, warnings = _load(options)
    for warning in warnings:
        print(warning, file=sys.stderr)
    _say(alertmanager_config(config).rstrip("\n"))
    return 0


def _back_up(options: argparse.Namespace) -> int:
    length = back_up(Path(options.storage_path), options.file)
    _say(f"{options.file}: {length:,} bytes, whole and on the disk")
    return 0


def _demo(options: argparse.Namespace) -> int:
    folder = Path(options.fleet_path) if options.fleet_path else None

    async def watch() -> None:
        async with Demo(folder=folder, config_file=Path(options.config_file)) as demo:
            storage = Path(options.storage_path) if folder else demo.config_file.parent / "data"
            serving = _serve_options(options, demo.config_file, storage)
            async with running(serving) as stopped, asyncio.TaskGroup() as tasks:
                story = tasks.create_task(demo.story())
                await stopped.wait()
                story.cancel()

    run(watch)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
