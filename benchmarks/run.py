"""Measure our proxy against nginx, LiteLLM and the upstream itself: `python -m benchmarks.run`."""

import argparse
import contextlib
import dataclasses
import http.client
import json
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import litellm_venv, machine, report
from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.load import Load
from benchmarks.measures import MEASURES, Figures, Measure
from benchmarks.server import running
from benchmarks.targets import (
    REPOSITORY,
    VARIANTS,
    Target,
    Upstreams,
    fake_upstream,
    litellm,
    make_certificate,
    nginx,
    ours,
    socket_upstream,
    tls_upstream,
)

PROXIES = ("direct", "nginx", "before", "ours", "litellm")
OPEN_FILES = 8192
BROKEN_OFF = (RuntimeError, OSError, http.client.HTTPException, subprocess.SubprocessError)


def main() -> int:
    """Run what was asked for and print the page, or write it."""
    options = read_options()
    allow_open_files()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the servers are ended too
    try:
        outcome = measure(options)
    except BROKEN_OFF as error:
        print(f"the run was broken off: {error}", file=sys.stderr)
        return 1
    page = report.markdown(outcome, QUICK if options.quick else FULL, written_command(options))
    if options.write is None:
        print(page)
    else:
        raw = json.dumps(dataclasses.asdict(outcome), indent=1)
        (options.write / "RESULTS.md").write_text(page, encoding="utf-8")
        (options.write / "RESULTS.json").write_text(raw + "\n", encoding="utf-8")
    return 0


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it works, not to compare")
    parser.add_argument("--rounds", type=int, default=5, help="how often each measure asks each server (default 5)")
    parser.add_argument(
        "--only",
        type=chosen_from(tuple(MEASURES)),
        default=list(MEASURES),
        metavar="MEASURE,…",
        help=f"some of: {', '.join(MEASURES)}",
    )
    parser.add_argument(
        "--proxies",
        type=chosen_from(PROXIES),
        default=list(PROXIES),
        metavar="NAME,…",
        help=f"some of: {', '.join(PROXIES)}",
    )
    parser.add_argument(
        "--python",
        type=Path,
        default=REPOSITORY / ".venv" / "bin" / "python",
        help="the interpreter that runs our proxy (default: the repository's .venv)",
    )
    parser.add_argument(
        "--litellm-venv",
        type=Path,
        default=litellm_venv.default_folder(),
        metavar="DIR",
        help="LiteLLM's virtual environment (default: %(default)s)",
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="DIR",
        help="another checkout of ours, measured in turn as `before`; its .venv runs it, else --python",
    )
    parser.add_argument("--install-litellm", action="store_true", help="make that environment where it is missing")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=Path(__file__).parent,
        metavar="DIR",
        help="write RESULTS.md and RESULTS.json (default: beside this file) instead of printing",
    )
    return parser.parse_args()


def chosen_from(names: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return the reader of a comma list of names, which keeps to their order."""

    def read(text: str) -> list[str]:
        wanted = text.split(",")
        if unknown := set(wanted) - set(names):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(names)}")
        return [name for name in names if name in wanted]

    return read


def measure(options: argparse.Namespace) -> report.Outcome:
    """Start the upstreams and run each measure: one server after the other, and that again each round."""
    if options.install_litellm:
        litellm_venv.ensure(options.litellm_venv)
    if options.before is None:
        options.proxies = [name for name in options.proxies if name != "before"]
    outcome = report.Outcome({}, {name: {} for name in options.only}, [])
    if "litellm" in options.proxies and not litellm_venv.is_there(options.litellm_venv):
        options.proxies = [name for name in options.proxies if name != "litellm"]
        outcome.problems.append("LiteLLM is not installed, and was left out (`--install-litellm`)")
    outcome.machine.update(machine.describe(options.proxies, options.python, options.litellm_venv))
    if options.before is not None:
        outcome.machine["before"] = machine.revision(options.before)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proxy-benchmarks-")))
        load = Load(folder)
        load.build()
        certificate = make_certificate(folder)
        plain = stack.enter_context(running(fake_upstream(folder), folder))
        tls = stack.enter_context(running(tls_upstream(folder, certificate, plain.port), folder))
        sockets = stack.enter_context(running(socket_upstream(options.python), folder))
        upstreams = Upstreams(plain.port, tls.port, sockets.port, certificate)
        targets = make_targets(options, folder, upstreams)
        direct = {"direct": plain, "direct-sockets": sockets}
        bench = Bench(QUICK if options.quick else FULL, load, direct, targets, folder)
        stack.enter_context(bench.servers)
        for name in options.only:
            run_rounds(bench, name, options, outcome)
    return outcome


def make_targets(options: argparse.Namespace, folder: Path, upstreams: Upstreams) -> list[Target]:
    """Return the proxies that were asked for, with each of their variants."""
    made: list[Target | None] = []
    for variant in ("", *VARIANTS):
        if "nginx" in options.proxies and variant not in ("rules", "tools"):
            made.append(nginx(folder, upstreams, variant))
        if "before" in options.proxies:
            checkout = options.before.resolve()
            own = checkout / ".venv" / "bin" / "python"
            python = own if own.exists() else options.python
            made.append(ours(folder, python, upstreams, variant, "before", checkout))
        if "ours" in options.proxies:
            made.append(ours(folder, options.python, upstreams, variant))
        if "litellm" in options.proxies:
            made.append(litellm(folder, options.litellm_venv, upstreams, variant))
    return [target for target in made if target is not None]


def run_rounds(bench: Bench, name: str, options: argparse.Namespace, outcome: report.Outcome) -> None:
    """Run one measure; a server it breaks off on is left out of it from then on."""
    chosen, results = MEASURES[name], outcome.results[name]
    proxies = [proxy for proxy in options.proxies if chosen.direct or proxy != "direct"]
    if chosen.variant:
        proxies = [proxy for proxy in proxies if proxy == "direct" or bench.has(proxy, chosen.variant)]
    rounds = 1 if options.quick else chosen.rounds or options.rounds
    for number in range(1, rounds + 1):
        for proxy in list(proxies):
            said = run_once(bench, chosen, proxy, results)
            print(f"{name} {number}/{rounds} {proxy}: {said}", file=sys.stderr)
            if proxy not in results:
                proxies.remove(proxy)
                outcome.problems.append(f"{name}, {proxy}: {said}")


def run_once(bench: Bench, chosen: Measure, proxy: str, results: dict[str, list[Figures]]) -> str:
    """Add a server's figures of one round, or take it out of the results; return what to say of it."""
    try:
        figures = chosen.run(bench, proxy)
        if server := bench.standing(proxy, chosen.variant):
            bench.settle(server)
    except BROKEN_OFF as error:
        results.pop(proxy, None)
        return f"broken off: {error}"
    results.setdefault(proxy, []).append(figures)
    return json.dumps(figures)


def allow_open_files() -> None:
    """Raise this process's limit, and so that of the servers it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def written_command(options: argparse.Namespace) -> str:
    """Return the command as far as it bears on the figures."""
    parts = ["python -m benchmarks.run", "--quick" if options.quick else f"--rounds {options.rounds}"]
    if options.only != list(MEASURES):
        parts.append(f"--only {','.join(options.only)}")
    if options.proxies != [name for name in PROXIES if name != "before"]:
        parts.append(f"--proxies {','.join(options.proxies)}")
    return " ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
