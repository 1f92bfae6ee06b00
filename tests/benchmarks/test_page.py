import pytest

from benchmarks import page, report
from benchmarks.scenarios import SCENARIOS

pytestmark = pytest.mark.once


def test_every_scenario_has_a_section_of_its_own() -> None:
    assert set(page.SECTIONS) == {scenario.name for scenario in SCENARIOS}


def test_every_part_has_a_last_line_even_before_anything_was_measured() -> None:
    assert report.summary(dict.fromkeys(scenario.part for scenario in SCENARIOS), {}) == []
