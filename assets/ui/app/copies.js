// A request as a command, as a program, and as HAR 1.2. No key is in any of them.
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const own = (detail) => `${location.origin}/v1${detail.request.endpoint}${detail.client?.query ? `?${detail.client.query}` : ""}`;

export function asCurl(detail) {
  const { request, client } = detail;
  const parts = [`curl ${shell(own(detail))}`];
  if (request.method !== "GET" && request.method !== "POST") parts.push(`-X ${request.method}`);
  parts.push(`-H "Authorization: Bearer $OPENAI_API_KEY"`);
  if (client?.body) parts.push(`-H 'Content-Type: application/json'`, `--data-raw ${shell(client.body)}`);
  return parts.join(" \\\n  ");
}

export function asPython(detail) {
  const { request, client } = detail;
  const lines = ["import json", "import os", "import urllib.request", ""];
  if (client?.body) lines.push(`body = json.loads(${JSON.stringify(client.body).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)})`);
  lines.push("request = urllib.request.Request(", `    ${JSON.stringify(own(detail))},`, `    method=${JSON.stringify(request.method)},`);
  if (client?.body) lines.push("    data=json.dumps(body).encode(),");
  lines.push(`    headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", "Content-Type": "application/json"},`, ")",
    "with urllib.request.urlopen(request) as answer:", "    for line in answer:", `        print(line.decode(), end="")`, "");
  return lines.join("\n");
}

const pairs = (list) => (list || []).map(([name, value]) => ({ name, value }));

export function asHar(detail) {
  const { request, client, answer } = detail;
  const ms = (value) => Math.round((value || 0) * 1000 * 10) / 10;
  const type = (list) => (list || []).find(([name]) => name.toLowerCase() === "content-type")?.[1] || "";
  const entry = {
    startedDateTime: new Date(request.started * 1000).toISOString(),
    time: ms(request.duration_s),
    request: {
      method: request.method, url: own(detail), httpVersion: "HTTP/1.1", cookies: [], headers: pairs(client?.headers), headersSize: -1, bodySize: request.bytes_up,
      queryString: [...new URLSearchParams(client?.query || "")].map(([name, value]) => ({ name, value })),
      ...(client?.body ? { postData: { mimeType: type(client.headers) || "application/json", text: client.body } } : {}),
    },
    response: {
      status: request.status || 0, statusText: "", httpVersion: "HTTP/1.1", cookies: [], headers: pairs(answer?.headers), redirectURL: "", headersSize: -1,
      bodySize: request.bytes_down, content: { size: request.bytes_down, mimeType: type(answer?.headers), text: answer?.body || "" },
    },
    cache: {},
    timings: { blocked: -1, dns: -1, connect: -1, ssl: -1, send: 0, wait: ms(request.first_byte_s), receive: Math.max(0, ms(request.duration_s) - ms(request.first_byte_s)) },
  };
  return JSON.stringify({ log: { version: "1.2", creator: { name: "OpenAI Tray Proxy", version: "1" }, entries: [entry] } }, null, 1);
}
