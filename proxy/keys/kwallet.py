"""Start KDE's wallet: it is a Secret Service, but the bus does not start it as one. Linux only: imports jeepney."""

from contextlib import closing, suppress

from jeepney import DBusAddress, new_method_call  # type: ignore[import-untyped]  # it ships no types
from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]  # see above
from jeepney.wrappers import DBusErrorResponse, unwrap_msg  # type: ignore[import-untyped]  # see above

ANSWER_LIMIT_S = 3.0
VERSIONS = ("6", "5")
# No address, a broken one, a bus that refuses, goes away or gives no answer.
FAILURES = (KeyError, RuntimeError, ValueError, OSError)


def wake_kwallet() -> bool:
    """Have the session bus start the wallet, without a prompt; return whether it can be used. It may block."""
    with suppress(*FAILURES), closing(open_dbus_connection("SESSION")) as connection:
        for version in VERSIONS:
            wallet = DBusAddress(f"/modules/kwalletd{version}", f"org.kde.kwalletd{version}", "org.kde.KWallet")
            with suppress(DBusErrorResponse):
                # Any call has the bus start it; this one is answered when all of it is there.
                question = new_method_call(wallet, "isEnabled")
                return bool(unwrap_msg(connection.send_and_get_reply(question, timeout=ANSWER_LIMIT_S))[0])
    return False
