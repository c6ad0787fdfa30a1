"""Convert D-Bus messages between our values and jeepney's."""

from typing import Any

import jeepney  # type: ignore[import-untyped]  # it ships no types
from jeepney import HeaderFields, MessageFlag, MessageType

from tray_app.backends.exported import ERROR, Body, Call, Fault, Reply
from tray_app.session_bus import Address


def method_call(to: Address, member: str, signature: str, body: Body) -> Any:
    """Return a method call."""
    target = jeepney.DBusAddress(to.path, to.name, to.interface)
    return jeepney.new_method_call(target, member, signature or None, body)


def signal(path: str, interface: str, member: str, signature: str, body: Body) -> Any:
    """Return a signal of one of our objects."""
    emitter = jeepney.DBusAddress(path, interface=interface)
    return jeepney.new_signal(emitter, member, signature or None, body)


def signal_rule(interface: str, conditions: dict[str, str]) -> str:
    """Return the match rule for the signals of an interface."""
    rule: str = jeepney.MatchRule(type="signal", interface=interface, **conditions).serialise()
    return rule


def reply(to: Any, answer: Reply | Fault) -> Any:
    """Return the reply to a call."""
    if isinstance(answer, Fault):
        return jeepney.new_error(to, answer.name, "s", (answer.text,))
    signature, body = answer
    return jeepney.new_method_return(to, signature or None, body)


def is_call(message: Any) -> bool:
    """Return whether the message is a method call."""
    return message.header.message_type is MessageType.method_call


def is_signal(message: Any) -> bool:
    """Return whether the message is a signal."""
    return message.header.message_type is MessageType.signal


def needs_reply(message: Any) -> bool:
    """Return whether the caller expects a reply."""
    return not message.header.flags & MessageFlag.no_reply_expected


def read_call(message: Any) -> Call:
    """Read a method call or a signal."""
    fields = message.header.fields
    return Call(
        path=fields[HeaderFields.path],
        interface=fields.get(HeaderFields.interface),
        member=fields[HeaderFields.member],
        signature=fields.get(HeaderFields.signature, ""),
        body=message.body,
    )


def read_answer(message: Any) -> tuple[int, Body | Fault]:
    """Return the serial of the call that a message answers, and the answer."""
    fields = message.header.fields
    serial: int = fields[HeaderFields.reply_serial]
    if message.header.message_type is MessageType.method_return:
        return serial, message.body
    text = str(message.body[0]) if message.body else ""
    return serial, Fault(fields.get(HeaderFields.error_name, ERROR + "Failed"), text)
