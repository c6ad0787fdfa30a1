"""The core of the suite passes in other environments; what ran is listed at the end of the session."""

from collections.abc import Callable

import pytest

from e2e.other_pythons import CASES, LIMIT_S, Case, Sessions
from fakes.versions import PROPERTY


@pytest.mark.timeout(LIMIT_S + 20)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_core_of_the_suite_passes_in_another_environment(
    case: Case, other_pythons: Sessions, record_property: Callable[[str, object], None]
) -> None:
    outcome = other_pythons.outcome(case)
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert not outcome.broken
    record_property(PROPERTY, outcome.listed)

    assert outcome.code == 0, outcome.told[-20_000:]
    assert " passed" in outcome.listed
