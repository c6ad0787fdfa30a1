"""Start the tray of a built program."""

from tray_app.__main__ import main

if __name__ == "__main__":
    main()
