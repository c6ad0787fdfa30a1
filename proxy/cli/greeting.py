"""What the program says in its terminal, with and without a tray."""

from pathlib import Path

from proxy.command import command
from proxy.keys.upstream_key import Secrets

KEYRING_PATIENCE_S = 6.0  # a keyring that waits for its user is given up before


def base_url_line(base_url: str, local_url: str) -> str:
    """Say where tools are pointed: at the address on this computer, where it listens at all of them."""
    others = f"    other computers: by a name in PROXY_ALLOWED_HOSTS, for it listens at {base_url}"
    return f"Base URL for your tools:  {local_url}" + (f"\n{others}" if base_url != local_url else "")


def key_line(secrets: Secrets) -> str | None:
    """Say which upstream key there is, or how to give one; None where the keyring is waiting for its user. Blocks."""
    if not secrets.loaded.wait(KEYRING_PATIENCE_S):
        return None
    state = secrets.state
    if state.key or state.problem:
        return f"Upstream key:  {state}"
    where = f"enter it on the page below, store it with `{command('key set')}`, or start with OPENAI_API_KEY set"
    return f"There is no upstream API key yet: {where}."


def page_line(link: str | None) -> str:
    """Say how to open the program's page; a link is for a terminal alone, for what is no terminal may be kept."""
    if link is None:
        return f"Its page:  `{command('page')}` prints a link"
    return f"Its page:  {link}\n    good once, for two minutes; `{command('page')}` prints a new link"


def question_line(tool: str, where: str) -> str:
    """Say that a tool asks to run, and where the answer is given."""
    return f"{tool} asks to run; answer within a minute: {where}"


def last_line(log_file: Path | None) -> str:
    """Say where to read on, and how to stop."""
    return f"Log:  {log_file or 'cannot be written'}    Stop with Ctrl-C."
