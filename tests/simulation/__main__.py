"""``make simulate``: a year of 1,000 server-checks in virtual time, judged against what the contract owes."""

import argparse
import os
import sys
import time
from collections.abc import Iterator

from exporter.clock import SECOND
from tests.simulation.oracle import Chain
from tests.simulation.run import SERVERS_PER_SITE, Case, Outcomes, simulate_all

SHOWN = 20
"""So many broken promises are shown with their history."""


def main() -> int:
    """Simulate; return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", default="1", help="another seed is another world (default: 1)")
    parser.add_argument("--servers", type=int, default=250, help="with four checks each (default: 250)")
    parser.add_argument("--days", type=int, default=365, help="(default: 365)")
    parser.add_argument("--site", type=int, help="only this one, as a broken promise names it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="sites at once (default: one per core)")
    parser.add_argument("--thorough", action="store_true", help="skip nothing: some twenty times slower")
    asked = parser.parse_args()
    sites = range(-(-asked.servers // SERVERS_PER_SITE)) if asked.site is None else [asked.site]
    left = asked.servers
    cases: list[Case] = []
    for number in sites:
        servers = SERVERS_PER_SITE if asked.site is not None else min(left, SERVERS_PER_SITE)
        left -= servers
        cases.append(Case(asked.seed, number, servers, asked.days, asked.thorough))
    begun, total = time.monotonic(), Outcomes()
    for done, (case, outcomes) in enumerate(simulate_all(cases, asked.jobs), 1):
        total.add(outcomes)
        word = f"{len(outcomes.broken)} broken" if outcomes.broken else "kept"
        print(
            f"{time.monotonic() - begun:5.0f} s  {done}/{len(cases)}  {case.name}: {word}", file=sys.stderr, flush=True
        )
    print("\n".join(table(total)))
    for case, broken, history in sorted(total.broken, key=lambda each: (each[0].number, each[1].true))[:SHOWN]:
        print(f"\nBROKEN {broken.server or case.name}: {broken.what}")
        print(f"  again: python -m tests.simulation --seed {case.seed} --days {case.days} --site {case.number}")
        print(history)
    return 1 if total.broken else 0


def table(total: Outcomes) -> Iterator[str]:
    """Give the lines of the summary."""
    for what, number in total.counts.items():
        yield f"{number:>12,}  {what}"
    yield ""
    yield "Notices, from the end of the attempt that completed the evidence to the mail server's 250:"
    for chain in Chain:
        delays = sorted(delay.ms / SECOND for delay in total.delays if delay.chain is chain and not delay.update)
        if delays:
            middle, late = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
            yield f"{len(delays):>12,}  {chain}: median {middle:.1f} s, 99 % {late:.1f} s, longest {delays[-1]:.1f} s"
    yield ""
    yield f"{len(total.broken):>12,}  promises broken"


if __name__ == "__main__":
    sys.exit(main())
