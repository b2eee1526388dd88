"""From state to metric lines: the one place that says which value of which family stands for what."""

from collections.abc import Iterable, Mapping

from exporter import families as f
from exporter.contract.incidents import Incident
from exporter.contract.level import Response
from exporter.contract.ossupport import os_dates
from exporter.exposition import Lines, label_text
from exporter.inventory import Check, Server, SourceKey
from exporter.lamps import SourceState, abnormal_since, server_verdict
from exporter.outage import CheckState


def check_lines(check: Check, state: CheckState, duration: float | None, certificate_expiry: float | None) -> Lines:
    """Return the lines of a service check. ``duration`` (seconds) is None before its first attempt in this process."""
    lines = Lines()
    labels = label_text(f.SERVICE_UP.labels, (check.server, check.name, check.protocol))
    # What an earlier process knew of an outage holds; that a service was up says nothing of today, so it has no series.
    if state.up is False or (state.up and not state.foreign):
        lines.add(f.SERVICE_UP, labels, float(state.up))
        if not state.foreign or duration is not None:  # a void attempt takes nothing back of what was confirmed before
            lines.add(f.SERVICE_OUTAGE, labels, state.confirmed / 1000)
    if state.down_since is not None:
        lines.add(f.SERVICE_DOWN_SINCE, labels, state.down_since / 1000)
    if state.reason:
        why = (check.server, check.name, check.protocol, state.reason, state.step)
        lines.add(f.SERVICE_FAILURE, label_text(f.SERVICE_FAILURE.labels, why), 1.0)
    if duration is not None:
        lines.add(f.SERVICE_DURATION, labels, duration)
    if state.last_run is not None and (state.reason or not state.foreign):
        lines.add(f.SERVICE_LAST_RUN, labels, state.last_run / 1000)
    if certificate_expiry is not None:
        lines.add(f.SERVICE_CERTIFICATE_EXPIRY, labels, certificate_expiry)
    return lines


def inventory_lines(server: Server, *, maintenance: bool) -> Lines:
    """Return the lines that come from the inventory."""
    lines = Lines()
    managed = "true" if server.managed else "false"
    info = (server.name, server.customer, managed, server.site, server.rack, server.os)
    lines.add(f.SERVER_INFO, label_text(f.SERVER_INFO.labels, info), 1.0)
    lines.add(f.SERVER_MAINTENANCE, label_text(("server",), (server.name,)), float(maintenance))
    dates = os_dates(server.os) if server.managed else None
    if dates:
        labels = label_text(f.OS_CONTRACT_END.labels, (server.name, server.os))
        lines.add(f.OS_END_OF_LIFE, labels, dates.end_of_life_at / 1000)
        lines.add(f.OS_CONTRACT_END, labels, dates.contract_end_at / 1000)
    return lines


def duty_lines(server: str, response: Response, incidents: Iterable[Incident], protocols: Mapping[str, str]) -> Lines:
    """Return the lines of what the contract asks for a server. ``protocols`` is by check, ``incidents`` are open."""
    lines = Lines()
    lines.add(f.RESPONSE_LEVEL, label_text(f.RESPONSE_LEVEL.labels, (server,)), float(response.level))
    for incident in incidents:
        labels = label_text(f.INCIDENT_OPEN.labels, (server, incident.id, incident.kind.value))
        lines.add(f.INCIDENT_OPEN, labels, 1.0)
        for check in incident.down if incident.told else ():
            if check in protocols:
                labels = label_text(f.OUTAGE_NOTIFIED.labels, (server, check, protocols[check]))
                lines.add(f.OUTAGE_NOTIFIED, labels, incident.told[0].at / 1000)
    return lines


def report_lines(server: str, incidents: Iterable[Incident]) -> Lines:
    """Return the lines of the reports that a server's incidents owe."""
    lines = Lines()
    for incident in incidents:
        if incident.report.owed and incident.report.due is not None:
            labels = label_text(f.REPORT_DUE.labels, (server, incident.id))
            lines.add(f.REPORT_DUE, labels, incident.report.due / 1000)
    return lines


def calendar_lines(*, business_hours: bool) -> Lines:
    """Return the lines that come from the calendar."""
    lines = Lines()
    lines.add(f.BUSINESS_HOURS, "", float(business_hours))
    return lines


def source_lines(key: SourceKey, state: SourceState, verdicts: bytes = b"") -> Lines:
    """Return the lines of one lamp source. ``verdicts`` are those of its lamps where they are known to be the same."""
    lines = Lines()
    server, source = key
    labels = label_text(f.LAMP_CHECK_SUCCESS.labels, key)
    if verdicts:
        lines.by_family[f.LAMP_VERDICT.index] = verdicts
    else:
        for known in state.lamps.values():
            lamp = label_text(f.LAMP_VERDICT.labels, (server, known.lamp, known.component, source))
            lines.add(f.LAMP_VERDICT, lamp, float(known.verdict))
    if state.last_run:
        lines.add(f.LAMP_CHECK_SUCCESS, labels, 0.0 if state.reason else 1.0)
        lines.add(f.LAMP_CHECK_DURATION, labels, state.duration)
        lines.add(f.LAMP_CHECK_LAST_RUN, labels, state.last_run / 1000)
        lines.add(f.LAMP_CHECK_LAST_SUCCESS, labels, state.last_success / 1000)
    if state.reason:
        lines.add(f.LAMP_CHECK_FAILURE, label_text(f.LAMP_CHECK_FAILURE.labels, (*key, state.reason)), 1.0)
    if state.hardware:
        machine = state.hardware
        told = (*key, machine.manufacturer, machine.model, machine.serial, machine.firmware)
        lines.add(f.HARDWARE_INFO, label_text(f.HARDWARE_INFO.labels, told), 1.0)
    for log in state.logs:
        log_labels = label_text(f.EVENT_LOG_ENTRIES.labels, (*key, log.log))
        lines.add(f.EVENT_LOG_ENTRIES, log_labels, float(log.entries))
        if log.used_ratio is not None:
            lines.add(f.EVENT_LOG_USED, log_labels, log.used_ratio)
    for sensor in state.sensors:
        family = f.SENSORS[sensor.quantity]
        lines.add(family, label_text(family.labels, (*key, sensor.sensor)), sensor.value)
    return lines


def server_lamp_lines(server: str, sources: Mapping[SourceKey, SourceState]) -> Lines:
    """Return the lines that all lamp sources of a server make together."""
    lines = Lines()
    labels = label_text(("server",), (server,))
    states = list(sources.values())
    lines.add(f.LAMP_SERVER_VERDICT, labels, float(server_verdict(states)))
    since = abnormal_since(states)
    if since is not None:
        lines.add(f.LAMP_ABNORMAL_SINCE, labels, since / 1000)
    located = [state.locate for state in states if state.locate is not None]
    if located:
        lines.add(f.LOCATE_LAMP, labels, float(any(located)))
    powered = [state.power for state in states if state.power is not None]
    if powered:
        lines.add(f.POWER_ON, labels, float(any(powered)))
    return lines
