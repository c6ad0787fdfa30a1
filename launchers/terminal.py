"""Start the command line of a built program."""

from proxy.cli.main import main

if __name__ == "__main__":
    main()
