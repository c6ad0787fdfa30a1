"""Run the command line with `python -m proxy`."""

from proxy.cli.main import main

if __name__ == "__main__":
    main()
