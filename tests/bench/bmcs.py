"""A thousand BMCs, each on a port of its own, in one process: the demo's, which are to be had in any number."""

import asyncio
import resource

import uvloop

from exporter.demo.bmc import Bmc, Product
from exporter.demo.fleet import sensors_of
from tests.bench.measure import Questions

PASSWORD = "of-the-bench"
VARIETY = 12
"""Different sets of readings: those of the demo's fleet."""


async def main() -> None:
    """Start as many as asked for and tell their ports; asked again, tell how many sessions were opened and are open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asked = Questions()
    bmcs: list[Bmc] = []
    while (question := await asyncio.to_thread(asked.next)) is not None:
        for number in range(question.get("start", 0)):
            product = Product(serial=f"BENCH{number:05}")
            bmc = Bmc(f"s{number:05}.example", PASSWORD, sensors=sensors_of(number % VARIETY, on=True), product=product)
            await bmc.start()
            bmcs.append(bmc)
        asked.answer(
            ports=[bmc.port for bmc in bmcs] if "start" in question else [],
            opened=sum(bmc.sessions_opened for bmc in bmcs),
            open=sum(bmc.sessions_open for bmc in bmcs),
        )


if __name__ == "__main__":
    uvloop.run(main())
