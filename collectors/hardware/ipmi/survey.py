"""Reads every sensor once (IPMI v2.0 sections 35.14 and 35.5), through the BMC also those of satellite controllers."""

from collections.abc import Awaitable, Sequence

from collectors.hardware.ipmi import verdicts
from collectors.hardware.ipmi.oem import Light, LocateLight, Vendor
from collectors.hardware.ipmi.sdr import BMC, Conversion, Sensor
from collectors.hardware.ipmi.session import Rejected, Route, Session, SessionLost, completed
from collectors.reading import LampReading, SensorReading, Verdict

NETFN_SENSOR, GET_READING, GET_READING_FACTORS = 0x04, 0x2D, 0x23
FACTORS_LENGTH = 7

SATELLITE_WAITS = (1.0, 1.5)
"""Seconds until a satellite controller is asked again; after their sum it is left for this read."""

NOBODY_THERE = frozenset({0x82, 0x83, 0xC3, 0xD3})
"""Send Message: bus error or NAK, timeout, destination unavailable (sections 22.7 and 5.2)."""


class Survey:
    """What the sensors said. ``readable`` tells whether any of them said anything."""

    def __init__(self, vendor: Vendor) -> None:
        self.values: list[SensorReading] = []
        self.locate: bool | None = None
        self.readable = False
        self._lights = vendor.lights
        self._judged: list[tuple[Sensor, LampReading]] = []

    def lamps(self) -> tuple[LampReading, ...]:
        """Return the sensors' lamps."""
        return verdicts.without_empty_places(self._judged)

    def take(self, component: str, sensor: Sensor, data: bytes, conversion: Conversion | None) -> None:
        """Add the answer of Get Sensor Reading."""
        self._judge(component, sensor, data, f"reading={data.hex(' ')}")
        if not verdicts.is_readable(data):
            return
        self.readable = True
        value = None if conversion is None else conversion.value(data[0])
        if conversion is not None and value is not None:
            self.values.append(SensorReading(conversion.quantity, component, value))

    def miss(self, component: str, sensor: Sensor, why: str) -> None:
        """Add a sensor that gave no reading."""
        self._judge(component, sensor, b"", why)

    def _judge(self, component: str, sensor: Sensor, data: bytes, evidence: str) -> None:
        light = self._lights(sensor)
        if light is not None:
            self._light(light, component, sensor, data, evidence)
            return
        lamp = verdicts.judge(sensor, component, data, evidence)
        if lamp is not None:
            self._judged.append((sensor, lamp))

    def _light(self, light: Light | LocateLight, component: str, sensor: Sensor, data: bytes, evidence: str) -> None:
        """Take what a vendor's light says."""
        told = verdicts.is_readable(data) and len(data) > 2
        states = verdicts.state_bits(data) if told else 0
        if isinstance(light, Light):
            verdict = light.verdict(states) if told else Verdict.UNKNOWN
            self._judged.append((sensor, LampReading(light.lamp, component, verdict, evidence)))
        elif told:
            self.locate = light.lit(states)


async def survey(session: Session, sensors: Sequence[tuple[str, Sensor]], vendor: Vendor) -> Survey:
    """Ask all ``sensors``, each given with its component's name.

    A refused sensor and a satellite that does not answer cost only themselves. Raises SessionLost where the BMC itself
    falls silent.
    """
    found = Survey(vendor)
    mute: set[Route] = set()
    own = [(sensor.lun, bytes([sensor.number])) for _, sensor in sensors if route_to(sensor) is None]
    answers = iter(await session.series(NETFN_SENSOR, GET_READING, own))
    for component, sensor in sensors:
        route = route_to(sensor)
        if route in mute:
            found.miss(component, sensor, f"controller {sensor.owner:02x}h does not answer")
            continue
        try:
            answer = next(answers, None) if route is None else None
            data = completed(answer) if answer else await ask(session, sensor, route, GET_READING)
            conversion = await conversion_of(session, sensor, route, data)
        except Rejected as refusal:
            found.miss(component, sensor, str(refusal))
            if route is not None and refusal.code in NOBODY_THERE:
                mute.add(route)
        except SessionLost as loss:
            if route is None:
                raise
            found.miss(component, sensor, str(loss))
            mute.add(route)
        else:
            found.take(component, sensor, data, conversion)
    return found


def route_to(sensor: Sensor) -> Route | None:
    """Return the way to the controller that owns a sensor, None where that is the BMC."""
    return None if (sensor.channel, sensor.owner) == (0, BMC) else Route(sensor.channel, sensor.owner)


async def conversion_of(session: Session, sensor: Sensor, route: Route | None, data: bytes) -> Conversion | None:
    """Return how this reading is converted: a non-linear sensor has other factors for each."""
    if sensor.conversion is None or not sensor.conversion.needs_factors:
        return sensor.conversion
    try:
        answer = await ask(session, sensor, route, GET_READING_FACTORS, data[:1])
    except Rejected:
        return None
    return sensor.conversion.with_factors(answer[1:]) if len(answer) >= FACTORS_LENGTH else None


def ask(session: Session, sensor: Sensor, route: Route | None, command: int, data: bytes = b"") -> Awaitable[bytes]:
    """Send a sensor command to the controller that owns the sensor."""
    return session.request(
        NETFN_SENSOR,
        command,
        bytes([sensor.number]) + data,
        lun=sensor.lun,
        route=route,
        waits=None if route is None else SATELLITE_WAITS,
    )
