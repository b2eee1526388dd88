"""The contract's dates of operating systems: the end of the day in Japan, and what lies between two of them."""

from datetime import datetime

import pytest

from exporter.contract.ossupport import OS_DATES, Support, os_dates


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("system", ["rhel-6", "centos-8", "centos-6", "centos-5"])
def test_contracts_of_the_first_group_end_with_march_2026(system: str) -> None:
    assert OS_DATES[system].contract_end_at == at("2026-04-01T00:00:00+09:00")


@pytest.mark.parametrize("system", ["rhel-7", "centos-stream-8", "centos-7"])
def test_contracts_of_the_second_group_end_with_march_2027(system: str) -> None:
    assert OS_DATES[system].contract_end_at == at("2027-04-01T00:00:00+09:00")


@pytest.mark.parametrize(
    ("moment", "support"),
    [
        ("2024-06-30T23:59:59.999+09:00", Support.FULL),
        ("2024-07-01T00:00:00+09:00", Support.LIMITED),
        ("2027-03-31T23:59:59.999+09:00", Support.LIMITED),
        ("2027-04-01T00:00:00+09:00", Support.ENDED),
    ],
)
def test_between_the_end_of_life_and_the_end_of_the_contract_support_is_limited(moment: str, support: Support) -> None:
    assert OS_DATES["rhel-7"].support(at(moment)) is support


@pytest.mark.parametrize("written", ["rhel-7", "RHEL-7", "rhel 7.9", "RHEL_7", "rhel-7.9.2009"])
def test_a_system_is_known_however_it_is_written(written: str) -> None:
    assert os_dates(written) is OS_DATES["rhel-7"]


@pytest.mark.parametrize("written", ["", "rhel", "rhel-8", "rhel-70", "centos-stream-9", "7", "windows-2022"])
def test_a_system_that_the_contract_does_not_name_has_no_dates(written: str) -> None:
    assert os_dates(written) is None


@pytest.mark.parametrize("system", OS_DATES)
def test_every_date_has_its_source_and_the_contract_outlives_the_makers_support(system: str) -> None:
    dates = OS_DATES[system]
    assert dates.source
    assert dates.end_of_life < dates.contract_end
