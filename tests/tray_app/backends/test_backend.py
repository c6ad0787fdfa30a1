"""What backends share."""

from tray_app.backends.backend import LatestLook
from tray_app.menu import Look


def test_a_look_that_fails_leaves_the_last_one(caplog):
    looks = [Look("running", "First"), Look("running", "Second")]
    latest = LatestLook(lambda: looks.pop(0))

    assert latest.again().title == "Second"
    assert latest.again().title == "Second"  # there is no third: pop raises

    assert "IndexError" in caplog.text
