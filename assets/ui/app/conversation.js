// A conversation as a person reads it. Everything in it is shown as text, whatever it says.
import { ROOT, bytes, html, number, useState } from "./core.js";
import { pretty } from "./diff.js";

const SYSTEM = ["system", "developer"];
const MAX_SYSTEM = 280; // they are long, and the same in each request
const MAX_SHOWN = 20_000; // characters of one text; the rest comes with a click

export function Long({ text, mono, limit = MAX_SHOWN }) {
  const [isWhole, setWhole] = useState(false);
  const cut = !isWhole && text.length > limit;
  return html`<div class=${mono ? "text mono" : "text"} dir="auto">${cut ? `${text.slice(0, limit)} …` : text}</div>
    ${cut && html`<button class="second small" onClick=${() => setWhole(true)}>Show all ${number(text.length)} characters</button>`}`;
}

function Media({ part, id }) {
  const address = part.media == null ? null : `${ROOT}/api/requests/${encodeURIComponent(id)}/media/${part.media}`;
  if (address && part.type === "image") return html`<a href=${address} target="_blank" rel="noreferrer"><img class="thumb" src=${address} alt=${part.name || "An image of this message"} loading="lazy" /></a>`;
  if (address && part.type === "audio") return html`<audio controls preload="none" src=${address}></audio>${part.transcript && html`<${Long} text=${part.transcript} />`}`;
  return html`<p class="soft">${part.type}${part.name ? `: ${part.name}` : ""}${part.url ? `: ${part.url}` : ""}${part.bytes ? `, ${bytes(part.bytes)}` : ""}</p>`;
}

function Part({ part, id, limit }) {
  if (part.type === "text") return html`<${Long} text=${part.text} limit=${limit} />`;
  if (part.type === "reasoning") return html`<details class="fold" open><summary>Reasoning</summary><${Long} text=${part.text || "It was not told."} /></details>`;
  if (part.type === "tool_call") return html`<div class="call"><h4>Calls <code>${part.name}</code></h4><pre>${pretty(part.arguments || "")}</pre></div>`;
  if (part.type === "tool_result") return html`<div class="call"><h4>${part.is_error ? "Failed" : "Result"}${part.id ? html` <code class="soft">${part.id}</code>` : ""}</h4>${part.parts.map((each, at) => html`<${Part} key=${at} part=${each} id=${id} />`)}</div>`;
  if (part.type === "refusal" || part.type === "error") return html`<p class="note trouble">${part.text}</p>`;
  if (["image", "audio", "file"].includes(part.type)) return html`<${Media} part=${part} id=${id} />`;
  return html`<details class="fold"><summary>${part.name || "Other"}</summary><${Long} mono text=${pretty(part.text || "")} /></details>`;
}

const NAMES = { system: "System", developer: "Developer", user: "User", assistant: "Assistant", tool: "Tool" };

export function Message({ said, id }) {
  return html`<article class=${`message ${Object.hasOwn(NAMES, said.role) ? said.role : "other"} ${said.from}`}>
    <h3>${Object.hasOwn(NAMES, said.role) ? NAMES[said.role] : said.role}${said.from === "answer" && html` <span class="badge">answer</span>`}</h3>
    ${said.parts.map((part, nth) => html`<${Part} key=${nth} part=${part} id=${id} limit=${SYSTEM.includes(said.role) ? MAX_SYSTEM : MAX_SHOWN} />`)}</article>`;
}

export function Conversation({ detail, isRunning }) {
  const { messages, tools = [], parameters = {} } = detail.conversation;
  const answered = messages.some((each) => each.from === "answer");
  const plain = Object.entries(parameters).filter(([name]) => name !== "model");
  return html`
    ${plain.length > 0 && html`<p class="chips">${plain.map(([name, value]) => html`<span class="chip" key=${name}>${name} <b>${JSON.stringify(value).slice(0, 80)}</b></span>`)}</p>`}
    ${tools.length > 0 && html`<details class="fold"><summary>${number(tools.length)} ${tools.length === 1 ? "tool" : "tools"} offered</summary>
      <ul class="plain">${tools.map((tool, at) => html`<li key=${at}><code>${tool.name}</code> <span class="soft">${tool.description || ""}, ${bytes(tool.bytes)}</span></li>`)}</ul></details>`}
    ${messages.map((each, at) => html`<${Message} key=${at} said=${each} id=${detail.request.id} />`)}
    ${isRunning && html`<p class="soft writing" role="status">${answered ? "The answer is being written …" : "Waiting for the answer …"}</p>`}
    ${!messages.length && !isRunning && html`<p class="soft">There is no conversation in this request.</p>`}`;
}
