"""D-Bus messages, from our values to jeepney's and back."""

from typing import Any

import jeepney  # type: ignore[import-untyped]  # it ships no types
from jeepney import HeaderFields, MessageFlag, MessageType

from tray_app.backends.exported import ERROR, Body, Call, Fault, Reply
from tray_app.session_bus import Address


def method_call(to: Address, member: str, signature: str, body: Body) -> Any:
    """Write a call of another program's method."""
    target = jeepney.DBusAddress(to.path, to.name, to.interface)
    return jeepney.new_method_call(target, member, signature or None, body)


def signal(path: str, interface: str, member: str, signature: str, body: Body) -> Any:
    """Write a signal of one of our objects."""
    emitter = jeepney.DBusAddress(path, interface=interface)
    return jeepney.new_signal(emitter, member, signature or None, body)


def signal_rule(interface: str, conditions: dict[str, str]) -> str:
    """Write the rule that has the bus pass on the signals of an interface."""
    rule: str = jeepney.MatchRule(type="signal", interface=interface, **conditions).serialise()
    return rule


def reply(to: Any, answer: Reply | Fault) -> Any:
    """Write the answer to a caller."""
    if isinstance(answer, Fault):
        return jeepney.new_error(to, answer.name, "s", (answer.text,))
    signature, body = answer
    return jeepney.new_method_return(to, signature or None, body)


def is_call(message: Any) -> bool:
    """Whether the message is a call of one of our methods."""
    return message.header.message_type is MessageType.method_call


def is_signal(message: Any) -> bool:
    """Whether the message is a signal."""
    return message.header.message_type is MessageType.signal


def needs_reply(message: Any) -> bool:
    """Whether the caller waits for an answer."""
    return not message.header.flags & MessageFlag.no_reply_expected


def read_call(message: Any) -> Call:
    """Read what a caller, or a signal, names and carries."""
    fields = message.header.fields
    return Call(
        path=fields[HeaderFields.path],
        interface=fields.get(HeaderFields.interface),
        member=fields[HeaderFields.member],
        signature=fields.get(HeaderFields.signature, ""),
        body=message.body,
    )


def read_answer(message: Any) -> tuple[int, Body | Fault]:
    """Read which call of ours a message answers, and the answer."""
    fields = message.header.fields
    serial: int = fields[HeaderFields.reply_serial]
    if message.header.message_type is MessageType.method_return:
        return serial, message.body
    text = str(message.body[0]) if message.body else ""
    return serial, Fault(fields.get(HeaderFields.error_name, ERROR + "Failed"), text)
