"""Who is at the other end, as the system tells."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.desk import Hosted
from proxy.peers import is_another_user, user_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

NOBODY = 65534
FETCH = """
import os, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
"name".encode("idna")  # imported now: another user may not be able to read this Python
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
try:
    print(opener.open(sys.argv[1]).status)
except OSError as error:
    print(error.code)
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_our_own_connection_is_known_as_ours(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        ends = (*client.getsockname()[:2], *listener.getsockname()[:2])

        assert user_of(*ends) == os.geteuid()
        assert not is_another_user(*ends)


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "no address"])
def test_of_a_connection_that_is_none_nothing_is_known(client: str) -> None:
    assert user_of(client, 1, client, 2) is None
    assert not is_another_user(client, 1, client, 2)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can act for another user")
def test_another_user_cannot_use_a_link_and_does_not_use_it_up(tmp_path: Path) -> None:
    with Hosted() as hosted:
        link = hosted.desk.entrance(hosted.root_url)
        statuses = [
            subprocess.run(
                [sys.executable, "-c", FETCH, link, str(user)],
                capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path,
            ).stdout.strip()
            for user in (NOBODY, 0, 0)
        ]  # fmt: skip

    assert statuses == ["403", "200", "403"]
