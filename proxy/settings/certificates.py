"""The file of certificates a setting may name."""

import ssl


def trusting(path: str) -> ssl.SSLContext:
    """Return a context that trusts a file's certificates alone.

    Raises ValueError for a file that cannot be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise ValueError("the file holds no certificate") from error
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from error
