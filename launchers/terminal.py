"""Start the command line of a built program."""

import sys

from proxy.tools.functions.start import FLAG

if sys.argv[1:] == [FLAG]:  # it needs nothing of what the program does
    from proxy.tools.functions.child import main
else:
    from proxy.cli.main import main

if __name__ == "__main__":
    main()
