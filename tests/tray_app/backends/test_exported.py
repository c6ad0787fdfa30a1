"""How calls of our D-Bus objects are answered."""

from xml.etree import ElementTree as ET

import pytest

from tray_app.backends.exported import INTROSPECTABLE, PEER, PROPERTIES, Call, Exported, Fault, Method, answer

LAMP = Exported(
    "/House/Lamp",
    "org.example.Lamp",
    lambda: {"Colour": ("s", "red")},
    {"Dim": Method(("i", "s"), ("b",), lambda percent, _room: (percent > 0,))},
    {"Broken": ("s",)},
)
OBJECTS = {LAMP.path: LAMP}


def call(member, signature="", *body, path=LAMP.path, interface: str | None = LAMP.interface):
    return answer(OBJECTS, Call(path, interface, member, signature, body))


def test_a_method_gets_the_arguments_and_its_types_describe_the_answer():
    assert call("Dim", "is", 5, "kitchen") == ("b", (True,))


def test_the_interface_may_be_left_out():
    assert call("Dim", "is", 0, "kitchen", interface=None) == ("b", (False,))


def test_properties_are_read_one_by_one_or_all_at_once():
    assert call("Get", "ss", LAMP.interface, "Colour", interface=PROPERTIES) == ("v", (("s", "red"),))
    assert call("GetAll", "s", LAMP.interface, interface=PROPERTIES) == ("a{sv}", ({"Colour": ("s", "red")},))


def test_everybody_can_be_pinged():
    assert call("Ping", path="/nowhere", interface=PEER) == ("", ())


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"member": "Explode"}, "UnknownMethod"),
        ({"member": "Dim", "signature": "s"}, "InvalidArgs"),
        ({"member": "Dim", "path": "/nowhere"}, "UnknownObject"),
        ({"member": "Dim", "interface": "org.example.Other"}, "UnknownInterface"),
        ({"member": "Set", "interface": PROPERTIES}, "PropertyReadOnly"),
    ],
)
def test_what_we_do_not_offer_is_refused_by_name(wrong, name):
    with pytest.raises(Fault) as refused:
        call(**wrong)

    assert refused.value.name == f"org.freedesktop.DBus.Error.{name}"


def test_an_unknown_property_is_refused_by_name():
    with pytest.raises(Fault, match="UnknownProperty: Size"):
        call("Get", "ss", LAMP.interface, "Size", interface=PROPERTIES)


def test_an_object_describes_itself():
    _, (xml,) = call("Introspect", interface=INTROSPECTABLE)

    (interface,) = ET.fromstring(xml)
    assert interface.get("name") == LAMP.interface
    assert [(part.tag, part.get("name")) for part in interface] == [
        ("property", "Colour"),
        ("method", "Dim"),
        ("signal", "Broken"),
    ]
    assert [(arg.get("type"), arg.get("direction")) for arg in interface[1]] == [
        ("i", "in"),
        ("s", "in"),
        ("b", "out"),
    ]


@pytest.mark.parametrize(("path", "child"), [("/", "House"), ("/House", "Lamp")])
def test_the_way_to_an_object_can_be_found(path, child):
    _, (xml,) = call("Introspect", path=path, interface=INTROSPECTABLE)

    assert [node.get("name") for node in ET.fromstring(xml)] == [child]
