"""The one world that all tests of the folder look at, and what is shown of it when one of them fails."""

from collections.abc import Callable, Generator, Iterator

import pytest

from tests.chain.world import World

WORLD = pytest.StashKey[World]()


@pytest.fixture(scope="session")
def world(
    peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[World]:
    """Return the fleet with everything that watches it, running."""
    with World.running(peer, tmp_path_factory.mktemp("chain")) as world:
        request.session.stash[WORLD] = world
        yield world


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show mails, alerts and logs with the first failure."""
    report = yield
    world = item.session.stash.get(WORLD, None)
    if world and report.failed:
        del item.session.stash[WORLD]
        report.sections.append(("the chain", world.diagnosis()))
    return report
