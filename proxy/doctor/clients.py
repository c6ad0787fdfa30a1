"""Check connected clients: the last request of each."""

import time
from typing import Any

from proxy import paths
from proxy.clients.client import Client
from proxy.clients.connection import Connections
from proxy.clients.seen import ago, request_words
from proxy.doctor.finding import Check, Examination, Finding
from proxy.errors.configuration import ClientFileRefused
from proxy.usage import summaries

TITLE = "Connected clients"
SEEN_WITHIN_S = 30 * 86_400.0


def check_clients(examination: Examination) -> Finding:
    """Report the last request of each connected client and its outcome."""
    connections = Connections(paths.connected_clients_dir)
    connected = connections.connected()
    if not connected:
        return Finding(TITLE, is_good=True, detail="none")
    try:
        seen = summaries.last_by_client(examination.parts.ledger.file, time.time() - SEEN_WITHIN_S)
    except summaries.LedgerUnreadable as error:
        return Finding(TITLE, is_good=False, detail=str(error))
    told = [words_of(client, connections, seen) for client in connected]
    return Finding(TITLE, all(is_good for is_good, _ in told), "; ".join(words for _, words in told))


def words_of(client: Client, connections: Connections, seen: list[dict[str, Any]]) -> tuple[bool, str]:
    """Return whether a client is still connected as written, and its last request in words."""
    try:
        record = connections.record(client)
    except ClientFileRefused as error:
        return False, f"{client.title}: {error}"
    since = record.at if record else 0.0
    own = next(
        (row for row in seen if client.is_own(row["client"], row["key_name"]) and row["began_at"] >= since), None
    )
    if own is None:
        return True, f"{client.title} has asked nothing since it was connected {ago(time.time() - since)} ago"
    return True, f"{client.title} {request_words(own)}"


CHECKS = (Check(TITLE, check_clients),)
