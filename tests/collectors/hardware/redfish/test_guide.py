"""What the guide promises: every option is described, every vendor named, every request budget as it is."""

import re
from pathlib import Path

from collectors.hardware.redfish import RedfishOptions
from collectors.hardware.redfish.oem import VENDORS
from collectors.hardware.redfish.walk import BUDGET

GUIDE = (Path(__file__).parents[4] / "docs" / "lamps" / "redfish.md").read_text()


def test_every_option_is_described_and_no_other() -> None:
    table = GUIDE.partition("| key |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(RedfishOptions.model_fields)


def test_every_vendor_is_named_by_its_key() -> None:
    assert {key for key in VENDORS if key not in GUIDE} == set()


def test_the_budget_is_the_one_that_is_promised() -> None:
    assert f"at most {BUDGET} requests" in GUIDE
