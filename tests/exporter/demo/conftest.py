"""What the demo's tests share: a BMC on the network and a program's output."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from exporter.demo.bmc import Bmc, Product
from exporter.demo.sdr import DiscreteSensor, Entity, Sensor, SensorType, Thresholds, ThresholdSensor, Unit

SENSORS: tuple[Sensor, ...] = (
    ThresholdSensor(
        "Inlet Temp",
        SensorType.TEMPERATURE,
        Unit.CELSIUS,
        24,
        Thresholds(upper_noncritical=42, upper_critical=47),
        (Entity.AIR_INLET, 1),
    ),
    ThresholdSensor(
        "12V",
        SensorType.VOLTAGE,
        Unit.VOLT,
        12.06,
        Thresholds(lower_critical=10.8, upper_critical=13.2),
        factor=6,
        exponent=-2,
    ),
    ThresholdSensor(
        "Fan 1",
        SensorType.FAN,
        Unit.RPM,
        5600,
        Thresholds(lower_noncritical=1000, lower_critical=700, lower_nonrecoverable=400),
        (Entity.FAN, 1),
        factor=100,
    ),
    ThresholdSensor("Fan 2", SensorType.FAN, Unit.RPM, None, entity=(Entity.FAN, 2), factor=100),
    DiscreteSensor("Drive 1", SensorType.DRIVE, 0b001, (Entity.DISK, 1)),
    DiscreteSensor("PS1", SensorType.POWER_SUPPLY, 0b001, (Entity.POWER_SUPPLY, 1)),
)


@pytest.fixture
def sensors() -> tuple[Sensor, ...]:
    return SENSORS


@pytest.fixture
async def bmc() -> AsyncIterator[Bmc]:
    """A BMC on a free port."""
    bmc = Bmc("server.example", "correct-horse", sensors=SENSORS, product=Product("Sample", "Model S", serial="S-42"))
    await bmc.start()
    yield bmc
    bmc.stop()


Program = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def program(peer: Callable[[str], str]) -> Program:
    """Run a real program; return its exit status and all that it printed."""

    async def run(name: str, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            peer(name), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 30)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode is not None
        return process.returncode, output.decode()

    return run
