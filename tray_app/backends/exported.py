"""Our objects on D-Bus, as tables of methods, properties and signals, and how calls to them are answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from xml.sax.saxutils import quoteattr

INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PEER = "org.freedesktop.DBus.Peer"
PROPERTIES = "org.freedesktop.DBus.Properties"
ERROR = "org.freedesktop.DBus.Error."

Body = tuple[Any, ...]
Reply = tuple[str, Body]  # the signature and the body
Variant = tuple[str, Any]


class Fault(Exception):
    """A D-Bus error, sent or received."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(f"{name}: {text}" if text else name)
        self.name = name
        self.text = text


@dataclass(frozen=True)
class Call:
    """A method call, or a signal, as received."""

    path: str
    interface: str | None
    member: str
    signature: str
    body: Body


@dataclass(frozen=True)
class Method:
    """One method, with the types it takes and returns."""

    takes: tuple[str, ...]
    returns: tuple[str, ...]
    answer: Callable[..., Body]


@dataclass(frozen=True)
class Exported:
    """One object with one interface."""

    path: str
    interface: str
    properties: Callable[[], dict[str, Variant]]
    methods: Mapping[str, Method]
    signals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Emit(Protocol):
    """The function that sends signals."""

    def __call__(self, exported: Exported, name: str, *body: Any) -> None:
        """Send one of an object's signals; tray thread only."""


def answer(objects: Mapping[str, Exported], call: Call) -> Reply:
    """Answer a call to one of the objects; raises Fault. Tray thread only."""
    if call.interface == PEER and call.member == "Ping":
        return "", ()
    if call.interface == INTROSPECTABLE and call.member == "Introspect":
        return "s", (introspect(objects, call.path),)
    exported = objects.get(call.path)
    if exported is None:
        raise Fault(ERROR + "UnknownObject", call.path)
    if call.interface == PROPERTIES:
        return _answer_properties(exported.properties(), call)
    if call.interface not in (exported.interface, None):
        raise Fault(ERROR + "UnknownInterface", call.interface or "")
    return _answer_method(exported.methods, call)


def _answer_properties(properties: dict[str, Variant], call: Call) -> Reply:
    if call.member == "GetAll":
        return "a{sv}", (properties,)
    if call.member != "Get" or call.signature != "ss":
        raise Fault(ERROR + "PropertyReadOnly", call.member)
    name = call.body[1]
    if name not in properties:
        raise Fault(ERROR + "UnknownProperty", name)
    return "v", (properties[name],)


def _answer_method(methods: Mapping[str, Method], call: Call) -> Reply:
    method = methods.get(call.member)
    if method is None:
        raise Fault(ERROR + "UnknownMethod", call.member)
    if call.signature != "".join(method.takes):
        raise Fault(ERROR + "InvalidArgs", f"{call.member} takes ({''.join(method.takes)}), not ({call.signature})")
    return "".join(method.returns), method.answer(*call.body)


def introspect(objects: Mapping[str, Exported], path: str) -> str:
    """Write the XML that describes the object at this path and names the objects below it."""
    below = path.rstrip("/") + "/"
    children = sorted({other[len(below) :].split("/")[0] for other in objects if other.startswith(below)})
    nodes = "".join(f"<node name={quoteattr(child)}/>" for child in children)
    return f"<node>{_interface_xml(objects[path]) if path in objects else ''}{nodes}</node>"


def _interface_xml(exported: Exported) -> str:
    parts = [
        f"<property name={quoteattr(name)} type={quoteattr(kind)} access='read'/>"
        for name, (kind, _) in exported.properties().items()
    ]
    parts += [
        f"<method name={quoteattr(name)}>{_args_xml(method.takes, 'in')}{_args_xml(method.returns, 'out')}</method>"
        for name, method in exported.methods.items()
    ]
    parts += [
        f"<signal name={quoteattr(name)}>{_args_xml(types, 'out')}</signal>" for name, types in exported.signals.items()
    ]
    return f"<interface name={quoteattr(exported.interface)}>{''.join(parts)}</interface>"


def _args_xml(types: tuple[str, ...], direction: str) -> str:
    return "".join(f"<arg type={quoteattr(kind)} direction='{direction}'/>" for kind in types)
