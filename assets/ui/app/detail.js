// One request in full, beside the table.
import { NONE, ROOT, Tabs, Trouble, Words, bytes, compact, get, getText, html, money, number, percent, post, seconds, useEffect, useRef, useState, whenFully } from "./core.js";
import { Conversation, Long, Message } from "./conversation.js";
import { SideBySide, pretty } from "./diff.js";
import { Model, Outcome } from "./row_parts.js";

const REFRESH_MS = 400; // of a running request
const FILLING = { system: "System prompt", tools: "Tool definitions", history: "History", results: "Tool results", last: "Last message", media: "Images and sound" };

const MARKS = { added: "added", changed: "changed" }; // what the proxy did to a header

function Headers({ name, list, marks = [], kept = [] }) {
  return html`<h3>${name}</h3>${list?.length ? html`<dl class="headers">${list.map(([key, value], at) => {
    const mark = MARKS[marks[at]] || (kept.includes(key.toLowerCase()) ? "not sent" : "");
    return html`<div key=${at}><dt>${key}</dt><dd>${mark && html`<span class=${`mark ${mark === "not sent" ? "kept" : mark}`}>${mark}</span> `}${value}</dd></div>`;
  })}</dl>` : html`<p class="soft">None.</p>`}`;
}

function AllHeaders({ detail }) {
  const { client, attempts, answer } = detail, sent = attempts.at(-1);
  return html`<${Headers} name="From the client" list=${client?.headers} kept=${client?.not_sent} />
    ${sent && html`<${Headers} name=${attempts.length > 1 ? "To the upstream, the last time" : "To the upstream"} list=${sent.headers} marks=${sent.header_origins} />
      <${Headers} name="From the upstream" list=${sent.answer_headers} />`}
    <${Headers} name="To the client" list=${answer?.headers} />`;
}

function Sent({ detail }) {
  const { client, attempts } = detail;
  const [chosen, choose] = useState(null); // of several sendings: retries, fallbacks, rounds of tools
  if (!client?.body) return html`<p class="soft">This request has no body that is held.</p>`;
  const nth = chosen ?? attempts.length - 1, sent = attempts[nth];
  const after = !sent || sent.same_as_client ? client.body : sent.body;
  return html`
    ${attempts.length > 1 && html`<p class="pick"><label>Sent <select value=${nth} onChange=${(event) => choose(Number(event.target.value))}>
      ${attempts.map((each, at) => html`<option key=${at} value=${at}>${`${number(at + 1)} of ${number(attempts.length)}: ${each.upstream}, after ${seconds(each.at_s)}`}</option>`)}</select></label></p>`}
    ${!sent ? html`<p class="note asking">It was not sent to any upstream.</p>`
      : !sent.changes.length ? html`<p class="note success">The upstream got what the client sent: nothing was changed.</p>`
      : html`<ul class="changes">${sent.changes.map((each) => html`<li key=${each.name}><span class=${`mark ${each.kind}`}>${each.kind}</span> <code>${each.name}</code>
        ${each.kind !== "added" && html` <del>${JSON.stringify(each.before)}</del>`}${each.kind !== "removed" && html` <ins>${JSON.stringify(each.after)}</ins>`}</li>`)}</ul>`}
    <${SideBySide} before=${client.body} after=${after} />`;
}

function Prompt({ detail }) {
  const all = detail.prompt.reduce((sum, each) => sum + each.bytes, 0) || 1;
  if (!detail.prompt.length) return html`<p class="soft">Nothing is held of this prompt.</p>`;
  return html`<h3>What fills this prompt</h3>
    <div class="fill" role="img" aria-label=${detail.prompt.map((each) => `${FILLING[each.what]} ${percent(each.bytes / all)}`).join(", ")}>
      ${detail.prompt.map((each) => html`<span key=${each.what} class=${`f-${each.what}`} style=${{ width: `${(100 * each.bytes) / all}%` }}></span>`)}</div>
    <table class="plain"><thead><tr><th>Part</th><th class="num">Share</th><th class="num">Size</th><th class="num">Tokens, about</th></tr></thead>
    <tbody>${detail.prompt.map((each) => html`<tr key=${each.what}><td><span class=${`swatch f-${each.what}`}></span>${FILLING[each.what] || each.what}</td>
      <td class="num">${percent(each.bytes / all)}</td><td class="num">${bytes(each.bytes)}</td><td class="num">${compact(each.tokens)}</td></tr>`)}</tbody></table>`;
}

function Round({ round, number: nth }) {
  return html`<div class="round"><h4>Round ${number(nth)} <span class="soft">${seconds(round.seconds)}${round.is_mixed ? ", beside calls of the client's own" : ""}</span></h4>
    ${round.calls.map((call, at) => html`<div key=${at} class="call"><h4><code>${call.name}</code> <span class=${`outcome ${call.outcome === "ok" ? "good" : "bad"}`}><i></i>${call.outcome}</span> <span class="soft">${seconds(call.seconds)}</span></h4>
      <pre>${pretty(call.arguments || "")}</pre><${Long} text=${call.result || ""} limit=${2000} /></div>`)}</div>`;
}

function Attempts({ detail }) {
  const { attempts, tool_rounds: rounds, request } = detail;
  return html`<h3>Attempts</h3>
    ${!attempts.length && html`<p class="soft">${request.attempts ? `${number(request.attempts)}; no more is held of them.` : "It was not sent to any upstream."}</p>`}
    <ol class="attempts">${attempts.map((each, at) => html`<li key=${at}><div><b>${each.upstream}</b> <span class="soft">${each.method} ${each.url}</span></div>
      <div>${each.failure ? html`<span class="outcome bad"><i></i>${each.failure}</span>` : each.status == null ? html`<span class="outcome running"><i></i>waiting</span>` : html`<span class=${`outcome ${each.status < 400 ? "good" : "bad"}`}><i></i>status ${each.status}</span>`}
      <span class="soft"> sent at ${seconds(each.at_s)}${each.answered_at_s == null ? "" : `, answered after ${seconds(each.answered_at_s - each.at_s)}`}, ${bytes(each.bytes)}</span></div></li>`)}</ol>
    ${rounds.length > 0 && html`<h3>Tool rounds</h3>${rounds.map((each, at) => html`<${Round} key=${at} round=${each} number=${at + 1} />`)}`}
    ${request.repairs?.length > 0 && html`<h3>Put right by the proxy</h3><ul>${request.repairs.map((each, at) => html`<li key=${at}>${each}</li>`)}</ul>`}
    ${request.rules?.length > 0 && html`<h3>Parameter rules that changed it</h3><ul>${request.rules.map((each, at) => html`<li key=${at}><code>${each}</code></li>`)}</ul>`}`;
}

function Events({ detail }) {
  const { events } = detail;
  if (!events.length) return html`<p class="soft">No piece of the answer is held.</p>`;
  return html`<div class="events">${events.map((each, at) => html`<div key=${at} class="event"><span class="num soft">${seconds(each.at_s)}</span>
    <span class="num soft">${at && each.at_s - events[at - 1].at_s > 1 ? html`<b>+${seconds(each.at_s - events[at - 1].at_s)}</b>` : bytes(each.bytes)}</span><pre>${each.text.replace(/\n+$/, "")}</pre></div>`)}</div>`;
}

function Again({ detail, sentAgain }) {
  const [isOpen, setOpen] = useState(false);
  const [fields, setFields] = useState({ upstream: "", model: "" });
  const [models, setModels] = useState([]);
  const [upstreams, setUpstreams] = useState([]);
  const field = useRef(null);
  useEffect(() => {
    if (!isOpen) return;
    field.current.focus();
    get("filters").then((found) => setModels(found.values.model), () => {}); // those that were used; any other may be written
    get("keys").then((found) => setUpstreams(found.upstreams.map((row) => row.name)), () => {});
  }, [isOpen]);
  const [trouble, setTrouble] = useState("");
  const send = async (event) => {
    event.preventDefault();
    try { sentAgain((await post(`requests/${encodeURIComponent(detail.request.id)}/again`, fields)).id, detail.request.id); } catch (error) { setTrouble(error.message); }
  };
  if (!isOpen) return html`<button class="second small" onClick=${() => setOpen(true)}>Send again …</button>`;
  return html`<form class="again" onSubmit=${send}>
    <label>Model <input type="text" list="again-models" placeholder=${detail.request.model_asked || "the same"} value=${fields.model} ref=${field} onInput=${(event) => setFields({ ...fields, model: event.target.value })} /></label>
    <datalist id="again-models">${models.map((each) => html`<option key=${each} value=${each} />`)}</datalist>
    <label>Upstream <select value=${fields.upstream} onChange=${(event) => setFields({ ...fields, upstream: event.target.value })}><option value="">as routed</option>${upstreams.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>
    <button class="small">Send</button><button type="button" class="quiet small" onClick=${() => setOpen(false)}>Leave it</button>
    <${Trouble} words=${trouble} /></form>`;
}

const COMPARED = [ // what is set side by side, how it is written, and whether less of it is better
  ["First byte", (row) => row.first_byte_s, seconds, true], ["Duration", (row) => row.duration_s, seconds, true],
  ["Tokens/s", (row) => row.tokens_per_s && Math.round(row.tokens_per_s), number, false], ["Tokens in", (row) => row.input_tokens, number, true],
  ["From cache", (row) => row.cached_tokens, number, false], ["Tokens out", (row) => row.output_tokens, number, true], ["Cost", (row) => row.cost_usd, money, true],
];

function whyCheaper(first, again) { // one sentence, of what is known
  if (first.cost_usd == null || again.cost_usd == null || first.cost_usd === again.cost_usd) return "";
  const isCheaper = again.cost_usd < first.cost_usd, [low, high] = isCheaper ? [again, first] : [first, again];
  const whys = [];
  if (low.model_sent !== high.model_sent) whys.push(`${low.model_sent} has other prices than ${high.model_sent}`);
  if ((low.cached_tokens || 0) > (high.cached_tokens || 0)) whys.push(`${number(low.cached_tokens - (high.cached_tokens || 0))} more of its tokens came from the cache`);
  if ((low.output_tokens || 0) < (high.output_tokens || 0)) whys.push(`its answer is ${number(high.output_tokens - (low.output_tokens || 0))} tokens shorter`);
  if ((low.input_tokens || 0) < (high.input_tokens || 0)) whys.push(`its prompt is ${number(high.input_tokens - (low.input_tokens || 0))} tokens shorter`);
  const how = low.cost_usd === 0 ? "free" : `${percent(1 - low.cost_usd / high.cost_usd)} cheaper`;
  return `${isCheaper ? "Sent again, it was" : "The first was"} ${how}${whys.length ? `: ${whys.join("; ")}` : ""}.`;
}

function Compare({ first, detail }) {
  const [other, setOther] = useState(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => { get(`requests/${encodeURIComponent(first)}`).then(setOther, (error) => setTrouble(error.message)); }, [first]);
  const side = (name, each) => html`<div class="answer-side"><h3>${name}: <${Model} row=${each.request} /></h3>
    ${each.conversation ? each.conversation.messages.filter((said) => said.from === "answer").map((said, at) => html`<${Message} key=${at} said=${said} id=${each.request.id} />`) : html`<p class="soft">No longer held.</p>`}</div>`;
  if (!other) return html`<${Trouble} words=${trouble} />`;
  const rows = [other.request, detail.request], isOver = detail.request.outcome !== "running", why = isOver && whyCheaper(...rows);
  return html`${why && html`<p class="note success">${why}</p>`}
    <table class="plain compared"><thead><tr><td></td><th class="num">First</th><th class="num">Sent again</th></tr></thead><tbody>
      <tr><th scope="row">Model</th>${rows.map((row, at) => html`<td key=${at} class="num"><${Model} row=${row} /></td>`)}</tr>
      <tr><th scope="row">Outcome</th>${rows.map((row, at) => html`<td key=${at} class="num"><${Outcome} row=${row} /></td>`)}</tr>
      ${COMPARED.map(([name, read, words, isLess]) => { const [one, two] = rows.map(read); const better = !isOver || one == null || two == null || one === two ? null : (one < two) === isLess ? 0 : 1;
        return html`<tr key=${name}><th scope="row">${name}</th>${[one, two].map((value, at) => html`<td key=${at} class=${`num ${better === at ? "better" : ""}`}>${words(value)}</td>`)}</tr>`; })}</tbody></table>
    <div class="answers">${side("First", other)}${side("Sent again", detail)}</div>`;
}

function Facts({ row }) {
  const facts = [
    ["Client", row.client || NONE], ...(row.key ? [["Key", row.key]] : []), ["Upstream", row.upstream || NONE], ["Status", row.status ?? NONE],
    ["First byte", seconds(row.first_byte_s)], ["Duration", seconds(row.duration_s)], ["Tokens/s", row.tokens_per_s == null ? NONE : number(Math.round(row.tokens_per_s))],
    ["Tokens in", `${row.is_estimated ? "≈ " : ""}${number(row.input_tokens)}`], ["From cache", number(row.cached_tokens)], ["Tokens out", `${row.is_estimated ? "≈ " : ""}${number(row.output_tokens)}`],
    ["Cost", money(row.cost_usd)], ["Bytes up", bytes(row.bytes_up)], ["Bytes down", bytes(row.bytes_down)],
    ...(row.tool_rounds ? [["Tool rounds", number(row.tool_rounds)]] : []),
  ];
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><bdi>${value}</bdi></dd></div>`)}</dl>`;
}

const COPIES = [["curl", "curl"], ["cmd", "curl (cmd)"], ["powershell", "PowerShell"], ["python", "Python"]];

export function Detail({ id, row, first, close, sentAgain, cancel }) {
  const [detail, setDetail] = useState(null);
  const [trouble, setTrouble] = useState("");
  const [tab, setTab] = useState(first ? "compare" : "conversation");
  const [copied, setCopied] = useState("");
  const heading = useRef(null);
  const isRunning = (row || detail?.request)?.outcome === "running";

  useEffect(() => { heading.current.focus(); }, []);
  useEffect(() => {
    let isGone = false, timer = 0;
    const load = async () => {
      try {
        const found = await get(`requests/${encodeURIComponent(id)}`);
        if (isGone) return;
        setDetail(found);
        setTrouble("");
        if (found.request.outcome === "running") timer = setTimeout(load, REFRESH_MS);
      } catch (error) { if (!isGone) setTrouble(error.message); }
    };
    load();
    return () => { isGone = true; clearTimeout(timer); };
  }, [id, isRunning]);

  const shown = isRunning ? { ...detail?.request, ...row } : detail?.request || row;
  const address = `requests/${encodeURIComponent(id)}`;
  const copy = async (name) => {
    try {
      await navigator.clipboard.writeText(await getText(`${address}/${name}`));
      setCopied(name);
      setTimeout(() => setCopied(""), 1500);
    } catch (error) { setTrouble(error.message); }
  };
  const isHeld = detail?.conversation != null;
  const tabs = [["conversation", "Conversation"], ["sent", "What was sent", detail?.changes.length || null], ["prompt", "Prompt"], ["headers", "Headers"],
    ["events", "Events", detail?.events.length || null], ["attempts", "Attempts", detail?.attempts.length || null]];
  if (first) tabs.splice(1, 0, ["compare", "Compare"]);
  return html`<section class="detail" aria-label="One request">
    <div class="detail-top">
      <h2 tabindex="-1" ref=${heading}>${shown ? html`<${Model} row=${shown} />` : "Request"}</h2>
      <button class="second small" onClick=${close} aria-label="Close this request">Close</button>
    </div>
    ${shown && html`<p class="under"><${Outcome} row=${shown} /> <span class="soft">${whenFully(shown.started)} · ${shown.method} ${shown.endpoint}</span></p>`}
    ${shown?.error && html`<p class="note trouble"><${Words} text=${shown.error} /></p>`}
    <${Trouble} words=${trouble} />
    ${detail?.cache_miss && html`<p class="note asking">${detail.cache_miss.sentence}</p>`}
    ${shown && html`<${Facts} row=${shown} />`}
    <div class="actions-row">
      ${isRunning && html`<button class="small" onClick=${() => cancel(id)}>Cancel</button>`}
      ${isHeld && html`<${Again} detail=${detail} sentAgain=${sentAgain} />
        <span class="group" role="group" aria-label="Copy as a program"><span class="soft">Copy as</span>${COPIES.map(([name, words]) => html`<button
          key=${name} class="second small" aria-label=${`Copy as ${words}`} onClick=${() => copy(name)}>${copied === name ? "Copied" : words}</button>`)}</span>
        <span class="group" role="group" aria-label="Download"><span class="soft">Download</span><a class="button" href=${`${ROOT}/api/${address}.har`} download>HAR</a><a
          class="button" href=${`${ROOT}/api/${address}.json`} download>JSON</a></span>`}
    </div>
    ${detail && !isHeld && html`<p class="note asking">What was said is no longer held: bodies live in memory alone, those of the last requests. Its numbers stay.</p>`}
    ${isHeld && html`<${Tabs} names=${tabs} chosen=${tab} choose=${setTab} label="Parts of the request" />
      <div class="tab-body" role="tabpanel" tabindex="0" aria-label=${tabs.find(([name]) => name === tab)[1]}>
        ${tab === "conversation" && html`<${Conversation} detail=${detail} isRunning=${isRunning} />`}
        ${tab === "compare" && html`<${Compare} first=${first} detail=${detail} />`}
        ${tab === "sent" && html`<${Sent} detail=${detail} />`}
        ${tab === "prompt" && html`<${Prompt} detail=${detail} />`}
        ${tab === "headers" && html`<${AllHeaders} detail=${detail} />`}
        ${tab === "events" && html`<${Events} detail=${detail} />`}
        ${tab === "attempts" && html`<${Attempts} detail=${detail} />`}
      </div>`}
  </section>`;
}
