import inspect
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has a session bus", allow_module_level=True)

import jeepney.auth
import jeepney.fds
import jeepney.low_level
import jeepney.wrappers

from tray_app.errors import BusUnavailable
from tray_app.session_bus import Address, bus_errors, use_service

SERVICE = Address("org.example.Service", "/", "org.example.Interface")
MODULES = (jeepney.auth, jeepney.fds, jeepney.low_level, jeepney.wrappers)
EXCEPTIONS = {
    thing
    for module in MODULES
    for thing in vars(module).values()
    if inspect.isclass(thing) and issubclass(thing, Exception) and thing.__module__.startswith("jeepney")
}


@pytest.mark.parametrize("kind", sorted(EXCEPTIONS, key=lambda kind: kind.__name__))
def test_every_exception_of_jeepney_is_translated(kind):
    error = kind.__new__(kind)  # each is made from something else
    error.name = error.msg = error.data = "org.example.Error"

    with pytest.raises(BusUnavailable, match=r"org\.example\.Service"), bus_errors(SERVICE):
        raise error


def test_a_service_that_does_not_run_is_named(bus_services):
    with pytest.raises(BusUnavailable, match=r"org\.example\.Service is not running"):
        use_service(SERVICE, lambda service: service.call("Method"), 1)


def test_a_fault_in_the_talk_is_raised_where_it_was_asked_for(serve):
    serve(SERVICE.name)

    with pytest.raises(ZeroDivisionError):
        use_service(SERVICE, lambda service: 1 / 0, 1)


def test_an_answer_comes_back(serve):
    serve(SERVICE.name, Method=("s", ("answer",)))

    assert use_service(SERVICE, lambda service: service.call("Method"), 1) == ("answer",)
