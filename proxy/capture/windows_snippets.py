"""Write a request as a command for curl in cmd.exe, and for PowerShell; the key is the environment's OPENAI_API_KEY."""

import json

from proxy.capture.hiding import Hide
from proxy.capture.record import Record
from proxy.capture.snippets import address, content_type, copied_headers, curl_for
from proxy.quoting import for_cmd, for_powershell


def cmd(record: Record, base_url: str, hide: Hide) -> str:
    """Return the command for cmd.exe; raises UnicodeDecodeError where the body is no text.

    What is beyond ASCII in JSON is written as its escapes: curl is handed the code page of the console.
    """
    return curl_for(record, base_url, hide, quote=for_cmd, key="%OPENAI_API_KEY%", line_end=" ^", written=in_ascii)


def powershell(record: Record, base_url: str, hide: Hide) -> str:
    """Return the command for PowerShell, whose own works in each of its versions; raises as `cmd`."""
    headers = [f"{for_powershell(name)} = {for_powershell(value)}" for name, value in copied_headers(record, hide)]
    given = "; ".join(['Authorization = "Bearer $env:OPENAI_API_KEY"', *headers])
    url = for_powershell(hide(address(record, base_url)))
    words = [
        f"Invoke-RestMethod -Method {for_powershell(record.flow.method)} -Uri {url}",
        f"-Headers @{{ {given} }}",
    ]
    if record.body:
        body = for_powershell(hide(record.body.decode("utf-8")))
        words.append(f"-ContentType {for_powershell(content_type(record))}")
        words.append(f"-Body ([Text.Encoding]::UTF8.GetBytes({body}))")
    return " `\n  ".join(words) + "\n"


def in_ascii(text: str) -> str:
    """Return JSON with escapes for what is beyond ASCII; what is no JSON as it is."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return "".join(sign if sign.isascii() else json.dumps(sign)[1:-1] for sign in text)
