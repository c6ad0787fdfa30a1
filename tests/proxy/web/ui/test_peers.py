"""Who is at the other end, as the system tells."""

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.dashboard import Hosted, form_token
from proxy.web.ui.peers import is_another_user, user_of

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

HANG_UP = """
import os, socket, struct, sys
asked = sys.stdin.buffer.read()
"name".encode("idna")  # as above
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
for count in range(100):
    client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    if int(sys.argv[3]):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sendall(asked)
    client.close()
print(count + 1)
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


def ends_of(client: socket.socket, listener: socket.socket) -> tuple[str, int, str, int]:
    """Return a connection's ends as the server sees them."""
    near, far = client.getsockname()[:2], listener.getsockname()[:2]
    return near[0].removeprefix("::ffff:"), near[1], far[0], far[1]


def test_a_program_that_speaks_ipv4_through_an_ipv6_socket_is_known(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", listener.getsockname()[1]))

        assert user_of(*ends_of(client, listener)) == os.geteuid()


def test_a_server_that_takes_ipv4_on_an_ipv6_socket_knows_its_client() -> None:
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client,
        listener.accept()[0] as accepted,
    ):
        ends = (*accepted.getpeername()[:2], *accepted.getsockname()[:2])

        assert ends[0] == "::ffff:127.0.0.1"
        assert user_of(*ends) == os.geteuid()
        client.close()
        assert is_another_user(*ends)


@pytest.mark.parametrize("with_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("is_accepted", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_end_that_nobody_holds_any_more_is_a_strangers(host: str, is_accepted: bool, with_reset: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        ends = ends_of(client, listener)
        accepted = listener.accept()[0] if is_accepted else None
        assert not is_another_user(*ends)
        if with_reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

        assert user_of(*ends) is None
        assert is_another_user(*ends)
        if accepted is not None:
            accepted.close()


def test_an_end_that_is_closed_for_writing_alone_is_still_held() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0],
    ):
        client.shutdown(socket.SHUT_WR)

        assert user_of(*ends_of(client, listener)) == os.geteuid()


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "no address", ""])
def test_a_connection_that_is_none_is_a_strangers(client: str) -> None:
    assert user_of(client, 1, client, 2) is None
    assert is_another_user(client, 1, client, 2)


def test_an_end_is_a_strangers_while_no_more_files_can_be_opened() -> None:
    resource = pytest.importorskip("resource")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        ends = ends_of(client, listener)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        first_free = os.dup(0)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, hard))
        try:
            is_refused = is_another_user(*ends)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        assert is_refused
        assert not is_another_user(*ends)


ORIGIN = "https://page.example"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can act for another user")
@pytest.mark.parametrize("with_reset", [False, True], ids=["closes", "resets"])
def test_another_user_who_knows_all_secrets_and_hangs_up_changes_nothing(with_reset: bool) -> None:
    with Hosted() as hosted, hosted.enter() as browser:
        assert hosted.http.get("/v1/health", headers={"Origin": ORIGIN}).status_code == 403
        form = {"form_token": form_token(browser.get("/").text), "origin": ORIGIN}
        request = browser.build_request("POST", "/origins/allow", data=form)
        lines = [f"{name}: {value}" for name, value in request.headers.items() if name != "connection"]
        head = f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
        asked = head.encode() + request.read()
        outcome = subprocess.run(
            [sys.executable, "-c", HANG_UP, str(hosted.address.port), str(NOBODY), str(int(with_reset))],
            input=asked, capture_output=True, timeout=60, check=True, cwd="/",
        )  # fmt: skip
        assert outcome.stdout == b"100\n"
        assert hosted.http.get("/v1/health", headers={"Origin": ORIGIN}).status_code == 403
        assert hosted.services.store.current.proxy_allowed_origins == ()

        assert ORIGIN in browser.send(request).text  # the same request, from its own user
        assert hosted.services.store.current.proxy_allowed_origins == (ORIGIN,)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can act for another user")
def test_another_user_cannot_use_a_link_and_does_not_use_it_up(tmp_path: Path) -> None:
    with Hosted() as hosted:
        link = hosted.dashboard.link(hosted.root_url)
        statuses = [
            subprocess.run(
                [sys.executable, "-c", FETCH, link, str(user)],
                capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path,
            ).stdout.strip()
            for user in (NOBODY, 0, 0)
        ]  # fmt: skip

    assert statuses == ["403", "200", "403"]
