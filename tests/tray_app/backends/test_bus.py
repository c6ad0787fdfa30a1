"""The loop on the session bus."""

import os
import sys
import threading

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has a session bus", allow_module_level=True)

from fakes.bus_service import BusService
from tray_app.backends.bus import BusGone, SessionBus
from tray_app.backends.exported import Exported, Fault, Method
from tray_app.errors import BusUnavailable
from tray_app.session_bus import Address, use_service
from waiting import wait_for

TIMEOUT_S = 5
INTERFACE = "org.example.Object"
NOBODY = Address("org.example.Nobody", "/Object", INTERFACE)


class Served:
    """A bus whose loop runs in a thread once it is started."""

    def __init__(self):
        self.bus = SessionBus()
        self._thread = threading.Thread(target=self.bus.run)

    def offer(self, **methods):
        table = {name: Method((), (), function) for name, function in methods.items()}
        self.bus.export(Exported("/Object", INTERFACE, dict, table))

    def start(self):
        self._thread.start()

    def call(self, member):
        """Call a method of ours from outside."""
        return use_service(
            Address(self.bus.unique_name, "/Object", INTERFACE), lambda ours: ours.call(member), TIMEOUT_S
        )

    def close(self):
        self.bus.stop()
        if self._thread.ident:
            self._thread.join()
        self.bus.close()


@pytest.fixture
def served(bus_services):
    served = Served()
    yield served
    served.close()


def test_without_a_session_bus_the_reason_is_said(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    with pytest.raises(BusGone, match="DBUS_SESSION_BUS_ADDRESS is not set"):
        SessionBus()


def test_an_address_where_nobody_listens_is_no_bus(monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")

    with pytest.raises(BusGone, match="No such file"):
        SessionBus()


def test_the_bus_of_the_users_session_is_found_without_an_address(bus_services, monkeypatch, tmp_path):
    parts = os.environ["DBUS_SESSION_BUS_ADDRESS"].removeprefix("unix:").split(",")
    (tmp_path / "bus").symlink_to(dict(part.split("=") for part in parts)["path"])
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    SessionBus().close()


def test_whether_a_name_has_an_owner_is_known_before_the_loop_runs(served):
    assert served.bus.has_owner("org.freedesktop.DBus")
    assert not served.bus.has_owner(NOBODY.name)


def test_a_caller_is_answered(served):
    rung = threading.Event()
    served.offer(Ring=lambda: rung.set() or ())
    served.start()

    assert served.call("Ring") == ()
    assert rung.is_set()


def test_a_method_that_fails_is_logged_and_its_caller_told(served, caplog):
    served.offer(Fail=lambda: 1 / 0)
    served.start()

    with pytest.raises(BusUnavailable, match=r"DBus\.Error\.Failed"):
        served.call("Fail")
    assert "ZeroDivisionError" in caplog.text


def test_a_call_of_nobody_gives_the_fault(served):
    answers = []
    served.bus.call(NOBODY, "Ring", "", (), answers.append)
    served.start()

    (fault,) = wait_for(lambda: answers, "an answer")

    assert isinstance(fault, Fault)
    assert fault.name == "org.freedesktop.DBus.Error.ServiceUnknown"


def test_a_name_that_comes_and_goes_is_told(served):
    told = []
    served.bus.on_owner_changed("org.example.Service", told.append)
    served.start()

    with BusService("org.example.Service", {}):
        wait_for(lambda: told == [True], "the name's coming")
    wait_for(lambda: told == [True, False], "the name's going")


def test_a_task_that_falls_due_runs_without_a_message(served):
    done = threading.Event()
    served.bus.after(0.01, done.set)
    served.start()

    assert done.wait(TIMEOUT_S)


def test_a_posted_task_runs_on_the_loops_thread(served):
    threads = []
    served.start()

    served.bus.post(lambda: threads.append(threading.current_thread()))

    assert wait_for(lambda: threads, "the task")[0] is not threading.current_thread()


def test_stopped_before_it_runs_it_returns_at_once(served):
    served.bus.stop()

    served.bus.run()
