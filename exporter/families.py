"""All metrics that stand for servers, in one table: name, labels, help, and in which ``collect[]`` selection.

The exporter's metrics about itself are in `exporter.telemetry`. Every source of a concept goes through one function of
`exporter.rendering`, so that a value cannot mean one thing here and another there.
"""

from dataclasses import dataclass
from enum import StrEnum

from collectors.reading import Quantity


class Selection(StrEnum):
    """The values of ``collect[]``."""

    SERVICES = "services"
    LAMPS = "lamps"
    SENSORS = "sensors"
    EXPORTER = "exporter"


EVERYWHERE = frozenset(Selection)


@dataclass(frozen=True, slots=True)
class Family:
    """One gauge. Label values are given in the order of ``labels``."""

    name: str
    labels: tuple[str, ...]
    help: str
    selections: frozenset[Selection]
    index: int


FAMILIES: list[Family] = []


def _family(name: str, labels: str, text: str, *selections: Selection) -> Family:
    family = Family(name, tuple(labels.split()), text, frozenset(selections) or EVERYWHERE, len(FAMILIES))
    FAMILIES.append(family)
    return family


SERVER_INFO = _family(
    "dserver_server_info",
    "server customer_id managed site rack os",
    "What the inventory says of the server, always 1. managed is true or false.",
)
SERVER_MAINTENANCE = _family(
    "dserver_server_maintenance",
    "server",
    "Whether the server is in a maintenance window now: 1 yes, 0 no. Customers are not told of outages during one.",
)

BUSINESS_HOURS = _family(
    "dserver_business_hours",
    "",
    "Whether the help desk works now, by the configured calendar and the public holidays of Japan: 1 yes, 0 no.",
    Selection.SERVICES,
)
RESPONSE_LEVEL = _family(
    "dserver_response_level",
    "server",
    "What the contract asks for the server's open outage: 0 there is none, 1 log in and restart the service, "
    "2 reboot the platform, since nobody can log in.",
    Selection.SERVICES,
)
INCIDENT_OPEN = _family(
    "dserver_incident_open",
    "server incident kind",
    "An incident of the server that is not closed yet, always 1. kind is outage, lamp or reboot-request.",
    Selection.SERVICES,
)
REPORT_DUE = _family(
    "dserver_incident_report_due_timestamp_seconds",
    "server incident",
    "Unix time by which the customer has to have the report of an incident that is over. Absent once it is sent. "
    "Postponing moves it.",
    Selection.SERVICES,
)
OUTAGE_NOTIFIED = _family(
    "dserver_outage_notified_timestamp_seconds",
    "server check protocol",
    "Unix time at which the customer was told of the present outage, as the ledger knows it. Absent until then.",
    Selection.SERVICES,
)
OS_END_OF_LIFE = _family(
    "dserver_os_end_of_life_timestamp_seconds",
    "server os",
    "Unix time at which the maker's support of the operating system ends; from then on support is limited. "
    "Managed servers whose system the contract names.",
    Selection.LAMPS,
)
OS_CONTRACT_END = _family(
    "dserver_os_contract_end_timestamp_seconds",
    "server os",
    "Unix time at which the contract ends with the operating system. Managed servers whose system the contract names.",
    Selection.LAMPS,
)

_CHECK = "server check protocol"

SERVICE_UP = _family(
    "dserver_service_up",
    _CHECK,
    "Last result of the service check, cached: 1 it answered as it should, 0 it did not. Void attempts change nothing.",
    Selection.SERVICES,
)
SERVICE_OUTAGE = _family(
    "dserver_service_outage_seconds",
    _CHECK,
    "Confirmed length of the present outage, cached: time between failed attempts, evidence only. 0 while up. "
    "Absent after a restart until the first attempt.",
    Selection.SERVICES,
)
SERVICE_DOWN_SINCE = _family(
    "dserver_service_down_since_timestamp_seconds",
    _CHECK,
    "Unix time of the first failed attempt of the present outage. Absent while there is none.",
    Selection.SERVICES,
)
SERVICE_FAILURE = _family(
    "dserver_service_failure_info",
    "server check protocol reason step",
    "Why and at which step the last attempt failed or was void (reason auth, misconfigured or internal: our side). "
    "Always 1; absent after a success.",
    Selection.SERVICES,
)
SERVICE_DURATION = _family(
    "dserver_service_check_duration_seconds",
    _CHECK,
    "How long the last attempt took, cached.",
    Selection.SERVICES,
)
SERVICE_LAST_RUN = _family(
    "dserver_service_check_last_run_timestamp_seconds",
    _CHECK,
    "Unix time at which the last attempt began, void ones included.",
    Selection.SERVICES,
)
SERVICE_CERTIFICATE_EXPIRY = _family(
    "dserver_service_certificate_expiry_timestamp_seconds",
    _CHECK,
    "Unix time at which the certificate that the server showed last expires, also when it is expired or not trusted.",
    Selection.SERVICES,
)

LAMP_SERVER_VERDICT = _family(
    "dserver_server_lamp_verdict",
    "server",
    "Verdict of the server's lamps, cached: -1 unknown (a source could not be read), 0 normal, 1 warning, 2 critical. "
    "Compare, never sum or average.",
    Selection.LAMPS,
)
LAMP_VERDICT = _family(
    "dserver_lamp_verdict",
    "server lamp component source",
    "Last known verdict of the lamp, cached: -1 unknown, 0 normal, 1 warning, 2 critical. "
    "Compare, never sum or average. Absent parts have no series.",
    Selection.LAMPS,
)
LAMP_ABNORMAL_SINCE = _family(
    "dserver_lamp_abnormal_since_timestamp_seconds",
    "server",
    "Unix time since which a lamp of the server has been abnormal. Absent while none is.",
    Selection.LAMPS,
)
LOCATE_LAMP = _family(
    "dserver_locate_lamp_on",
    "server",
    "Whether the locate (identify, UID) lamp is on or blinking: 1 yes, 0 no. Never a fault. Absent while unknown.",
    Selection.LAMPS,
)
POWER_ON = _family(
    "dserver_power_on",
    "server",
    "Whether the server is powered on: 1 yes, 0 no. Absent while unknown.",
    Selection.LAMPS,
)
HARDWARE_INFO = _family(
    "dserver_hardware_info",
    "server source manufacturer model serial firmware",
    "What the hardware says of itself, always 1. Empty where it does not say.",
    Selection.LAMPS,
)

_SOURCE = "server source"

LAMP_CHECK_SUCCESS = _family(
    "dserver_lamp_check_success",
    _SOURCE,
    "Whether the last read of the lamp source succeeded: 1 yes, 0 no.",
    Selection.LAMPS,
)
LAMP_CHECK_FAILURE = _family(
    "dserver_lamp_check_failure_info",
    "server source reason",
    "Why the last read of the lamp source failed. Always 1; absent while reads succeed.",
    Selection.LAMPS,
)
LAMP_CHECK_DURATION = _family(
    "dserver_lamp_check_duration_seconds",
    _SOURCE,
    "How long the last read of the lamp source took, cached.",
    Selection.LAMPS,
)
LAMP_CHECK_LAST_RUN = _family(
    "dserver_lamp_check_last_run_timestamp_seconds",
    _SOURCE,
    "Unix time at which the last read of the lamp source began.",
    Selection.LAMPS,
)
LAMP_CHECK_LAST_SUCCESS = _family(
    "dserver_lamp_check_last_success_timestamp_seconds",
    _SOURCE,
    "Unix time of the last successful read of the lamp source, 0 if there has been none.",
    Selection.LAMPS,
)
EVENT_LOG_ENTRIES = _family(
    "dserver_event_log_entries",
    "server source log",
    "Entries in the hardware's event log, cached.",
    Selection.LAMPS,
)
EVENT_LOG_USED = _family(
    "dserver_event_log_used_ratio",
    "server source log",
    "How full the hardware's event log is, 0 to 1, cached. Absent where the hardware does not tell.",
    Selection.LAMPS,
)

_SENSOR_HELP = {
    Quantity.TEMPERATURE: "Temperature, cached.",
    Quantity.FAN_SPEED: "Fan speed in revolutions per minute, cached.",
    Quantity.FAN_SPEED_RATIO: "Fan speed as a share of its maximum, 0 to 1, cached.",
    Quantity.VOLTAGE: "Voltage, cached.",
    Quantity.CURRENT: "Current, cached.",
    Quantity.POWER: "Power drawn or given, cached.",
}
SENSORS = {
    quantity: _family(f"dserver_{quantity}", "server source sensor", text, Selection.SENSORS)
    for quantity, text in _SENSOR_HELP.items()
}
