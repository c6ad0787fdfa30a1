"""Start the tray of a built program."""

import sys

from proxy.tools.functions.start import FLAG

if sys.argv[1:] == [FLAG]:  # it needs nothing of what the program does
    from proxy.tools.functions.child import main
else:
    from tray_app.__main__ import main

if __name__ == "__main__":
    main()
