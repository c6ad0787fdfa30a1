"""KDE's wallet as the bus starts it: run as a program, it is a Secret Service with nothing in it until the bus ends."""

import sys

from fakes.bus_service import BusService

SECRETS = "org.freedesktop.secrets"
NAME = "org.kde.kwalletd5"


def main() -> None:
    with BusService(SECRETS, {}), BusService(NAME, {"isEnabled": ("b", (True,))}) as wallet:
        wallet.wait()


if __name__ == "__main__":
    sys.exit(main())
