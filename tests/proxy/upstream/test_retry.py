"""How long the proxy waits where an upstream asks for no wait."""

import random

import pytest

from proxy.upstream.retry import backoff_s


@pytest.mark.parametrize(("tries", "longest_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (2000, 8.0)])
def test_a_wait_varies_and_takes_no_number_from_the_global_generator(tries: int, longest_s: float) -> None:
    before = random.getstate()
    waits = [backoff_s(tries) for _ in range(20)]

    assert random.getstate() == before
    assert all(longest_s * 0.75 <= wait <= longest_s for wait in waits)
    assert len(set(waits)) > 1
