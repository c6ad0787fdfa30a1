"""Try a file of certificates when a setting names it: later every request would fail of it."""

import ssl


def check_certificates(path: str) -> str:
    """Return the path; raises ValueError for a file that cannot be read or holds no certificate."""
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise ValueError("the file holds no certificate") from error
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from error
    return path
