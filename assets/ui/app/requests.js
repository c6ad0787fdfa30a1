// The page of requests: a live table, a filter that is kept in the address, and one request in full.
import { Empty, NONE, ROOT, Trouble, bytes, compact, html, money, number, post, seconds, show, useEffect, useLayoutEffect, useMemo, useRef, useState, when, whenFully } from "./core.js";
import { Detail } from "./detail.js";
import { Drill } from "./drill.js";
import { completions } from "./filter.js";
import { Model, Outcome } from "./row_parts.js";
import { useRows } from "./live.js";

const ROW_PX = { wide: 40, narrow: 68 };
const NARROW_PX = 400; // where the style sheet makes two lines of a row
const HEAD_PX = 36;
const SPARE_ROWS = 8;
const STEP_ROWS = 4; // drawn anew no more often than that
const tokens = (row) => (row.input_tokens == null ? NONE : `${row.is_estimated ? "≈ " : ""}${compact(row.input_tokens)} → ${compact(row.output_tokens)}`);

function Elapsed({ row }) { // a running request ticks here, between the program's events
  const [seen, setSeen] = useState({ at: performance.now(), now: performance.now() });
  useEffect(() => {
    const at = performance.now();
    setSeen({ at, now: at });
    const timer = setInterval(() => setSeen({ at, now: performance.now() }), 200);
    return () => clearInterval(timer);
  }, [row.duration_s]);
  return seconds((row.duration_s || 0) + (seen.now - seen.at) / 1000);
}

function Row({ row, isOpen, isFirst, open, cancel, top, height, place }) {
  // What is the same as before is not drawn again: scrolling would leave thousands of elements behind.
  return useMemo(() => html`<div class=${`row${isOpen ? " open" : ""}`} role="row" aria-rowindex=${place + 2} data-id=${row.id}
      tabindex=${isFirst ? 0 : -1} aria-selected=${isOpen ? "true" : "false"}
      style=${{ top: `${top}px`, height: `${height}px` }} onClick=${() => open(row.id)}>
    <span role="cell" class="c-time" onMouseEnter=${(event) => { event.currentTarget.title = whenFully(row.started); }}>${when(row.started)}</span>
    <span role="cell" class="c-client" title=${row.client || ""}><bdi>${row.client || NONE}</bdi></span>
    <span role="cell" class="c-model" title=${`${row.model_asked || ""} ${row.endpoint}`}><${Model} row=${row} /></span>
    <span role="cell" class="c-upstream" title=${row.upstream || ""}><bdi>${row.upstream || NONE}</bdi></span>
    <span role="cell" class="c-outcome"><${Outcome} row=${row} isShort />${row.status && row.status >= 400 ? html` <span class="soft">${row.status}</span>` : ""}</span>
    <span role="cell" class="c-first num">${seconds(row.first_byte_s)}</span>
    <span role="cell" class="c-duration num">${row.outcome === "running" ? html`<${Elapsed} row=${row} />` : seconds(row.duration_s)}</span>
    <span role="cell" class="c-speed num">${row.tokens_per_s == null ? NONE : number(Math.round(row.tokens_per_s))}</span>
    <span role="cell" class="c-tokens num">${row.outcome === "running" ? bytes(row.bytes_down) : tokens(row)}</span>
    <span role="cell" class="c-cost num">${money(row.cost_usd)}</span>
    <span role="cell" class="c-action">${row.outcome === "running" && html`<button class="second small" tabindex="-1"
      onClick=${(event) => { event.stopPropagation(); cancel(row.id); }} aria-label="Cancel this request">Cancel</button>`}</span>
  </div>`, [row, isOpen, isFirst, top, height, place]);
}

// Each element in the order of the document, with the row it shows: elements are used again and never moved.
function places(first, last, slots) {
  return Array.from({ length: last - first }, (_, nth) => first + nth).sort((one, other) => (one % slots) - (other % slots));
}

function Table({ rows, opened, open, cancel }) {
  const box = useRef(null);
  const focused = useRef(null); // the id of the row that has the focus: elements are used again for other rows
  const [view, setView] = useState({ first: 0, shown: 16, width: 1000 });
  const height = view.width <= NARROW_PX ? ROW_PX.narrow : ROW_PX.wide;
  const look = () => box.current && setView((old) => {
    const { scrollTop, clientHeight, clientWidth: width } = box.current;
    const px = width <= NARROW_PX ? ROW_PX.narrow : ROW_PX.wide;
    const first = STEP_ROWS * Math.floor(scrollTop / px / STEP_ROWS), shown = Math.ceil(clientHeight / px) + STEP_ROWS;
    return old.first === first && old.shown === shown && old.width === width ? old : { first, shown, width };
  });
  useLayoutEffect(() => {
    look();
    const watcher = new ResizeObserver(look);
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  const slots = view.shown + 2 * SPARE_ROWS;
  const first = Math.max(0, Math.min(view.first - SPARE_ROWS, rows.length - slots));
  const last = Math.min(rows.length, first + slots);
  const active = document.activeElement; // before anything is drawn anew
  if (active !== box.current) focused.current = box.current?.contains(active) ? active.closest(".row")?.dataset.id ?? null : null;
  useLayoutEffect(() => { // the focus stays with its row; where that is out of sight, the table has it
    const at = document.activeElement;
    if (focused.current == null || !box.current.contains(at) || at.dataset.id === focused.current) return;
    if (at !== box.current && at.dataset.id === undefined) return; // a button
    (box.current.querySelector(`[data-id="${CSS.escape(focused.current)}"]`) || box.current).focus({ preventScroll: true });
  });
  const focusOn = (place) => {
    const row = rows[Math.max(0, Math.min(place, rows.length - 1))];
    box.current.scrollTop = Math.min(box.current.scrollTop, place * height);
    const bottom = (place + 1) * height + HEAD_PX;
    if (bottom > box.current.scrollTop + box.current.clientHeight) box.current.scrollTop = bottom - box.current.clientHeight;
    look();
    requestAnimationFrame(() => requestAnimationFrame(() => row && box.current && box.current.querySelector(`[data-id="${CSS.escape(row.id)}"]`)?.focus()));
  };
  const pressed = (event) => {
    const id = event.target === box.current ? focused.current : event.target.dataset?.id;
    const place = rows.findIndex((row) => row.id === id);
    if (place < 0) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -rows.length, End: rows.length }[event.key];
    if (step) { event.preventDefault(); focusOn(Math.max(0, Math.min(place + step, rows.length - 1))); }
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(id); }
    if (event.key === "Delete" && rows[place].outcome === "running") cancel(id);
  };
  const names = [["time", "Time"], ["client", "Client"], ["model", "Model"], ["upstream", "Upstream"], ["outcome", "Outcome"], ["first", "First byte"],
    ["duration", "Duration"], ["speed", "Tokens/s"], ["tokens", "Tokens"], ["cost", "Cost"], ["action", ""]];
  return html`<div class=${`table ${opened ? "beside" : ""}`} role="table" aria-label="Requests" aria-rowcount=${rows.length + 1}>
    <div class="scroll" ref=${box} tabindex="-1" onScroll=${look} onKeyDown=${pressed} role="rowgroup">
      <div class="head" role="row">${names.map(([id, name]) => html`<span key=${id} role="columnheader" class=${`c-${id}`}>${name || html`<span class="away">Actions</span>`}</span>`)}</div>
      <div class="all" style=${{ height: `${rows.length * height}px` }}>
        ${places(first, last, slots).map((place) => html`<${Row} key=${place % slots} row=${rows[place]} place=${place} top=${place * height}
          height=${height} isFirst=${opened ? rows[place].id === opened : place === 0} isOpen=${rows[place].id === opened} open=${open} cancel=${cancel} />`)}
      </div>
    </div>
  </div>`;
}

function Nothing({ filter, clear }) {
  if (filter) return html`<${Empty} title="No request fits this filter"><p><button class="second" onClick=${clear}>Show all requests</button></p><//>`;
  return html`<${Empty} title="Nothing has been asked yet">
    <p>Point a tool at this address, with any API key, and ask it something. Its request appears here as it is made.</p>
    <pre class="try">${`curl ${location.origin}/v1/chat/completions \\\n  -H "Content-Type: application/json" \\\n  -d '{"model": "gpt-4o-mini", "stream": true,\n       "messages": [{"role": "user", "content": "Hello!"}]}'`}</pre>
    <p><a class="button" href=${`${ROOT}/connect`}>Connect a tool</a> <a class="button" href=${`${ROOT}/`}>Send a test request</a></p>
    <p class="soft">The base URL for your tools is <code>${location.origin}/v1</code>.</p><//>`;
}

const inAddress = () => new URLSearchParams(location.search);

function Page() {
  const [written, setWritten] = useState(inAddress().get("q") || "");
  const [filter, setFilter] = useState(written);
  const [opened, setOpened] = useState(inAddress().get("id"));
  const [said, setSaid] = useState("");
  const [firsts, setFirsts] = useState({}); // by the id of what was sent again: the id of the first
  const before = useRef(null);
  const state = useRows(filter);
  const { rows, capture } = state;

  useEffect(() => {
    const timer = setTimeout(() => setFilter(written.trim()), 200);
    return () => clearTimeout(timer);
  }, [written]);
  useEffect(() => {
    const query = new URLSearchParams();
    if (filter) query.set("q", filter);
    if (opened) query.set("id", opened);
    const address = `${ROOT}/requests${query.size ? `?${query}` : ""}`;
    if (opened && !inAddress().has("id")) history.pushState({ closes: true }, "", address); // so that Back closes it
    else history.replaceState(history.state, "", address);
  }, [filter, opened]);
  useEffect(() => {
    const moved = () => setOpened(inAddress().get("id"));
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  useEffect(() => { // what was opened last has the focus again
    if (!opened && before.current) requestAnimationFrame(() => document.querySelector(`.row[data-id="${CSS.escape(before.current)}"]`)?.focus());
    if (opened) before.current = opened;
  }, [opened]);
  useLayoutEffect(() => {
    const pressed = (event) => {
      const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
      if (event.key === "/" && !isTyping) { event.preventDefault(); document.getElementById("filter").focus(); }
      if (event.key === "Escape" && opened && !isTyping) close();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [opened]);

  const close = () => (history.state?.closes ? history.back() : setOpened(null));
  const sentAgain = (id, first) => { setFirsts((old) => ({ ...old, [id]: first })); setOpened(id); };
  const told = (work) => work.then(() => setSaid(""), (error) => setSaid(error.message));
  const cancel = (id) => told(post(`requests/${encodeURIComponent(id)}/cancel`));
  const pause = () => told(post("capture/pause", { paused: !capture.is_paused }));
  const running = rows.filter((row) => row.outcome === "running").length;
  const isHolding = capture && capture.is_on && !capture.is_paused;

  return html`<div class="requests">
    <h1 class="away">Requests</h1>
    <div class="bar">
      <input id="filter" type="search" list="completions" value=${written} onInput=${(event) => setWritten(event.target.value)} spellcheck="false" autocomplete="off"
        aria-label="Filter requests" placeholder=${'Filter:  status:cut  model:gpt-5*  client:zed  tokens>50k  text:"…"'} />
      <datalist id="completions">${completions(written, rows).map((each) => html`<option key=${each} value=${each} />`)}</datalist>
      <span class="state" role="status">
        <span class=${`dot ${state.isLive ? "on" : "off"}`} aria-hidden="true"></span>${state.isLive ? "Live" : "Not connected"}
        <span class="soft">${number(rows.length)} ${rows.length === 1 ? "request" : "requests"}${running ? `, ${running} running` : ""}</span>
      </span>
      ${capture && capture.is_on && html`<button class="second" onClick=${pause} title=${`Bodies held in memory: ${bytes(capture.held_bytes)} of ${bytes(capture.budget_bytes)}`}>
        ${capture.is_paused ? "Resume capture" : "Pause capture"}</button>`}
    </div>
    <${Trouble} words=${said || state.trouble} />
    ${capture && !isHolding && html`<p class="note asking">${capture.is_paused ? "Capture is paused: new requests are listed, but what they say is not held." : "Capture is off in the settings: requests are listed, but what they say is not held."}</p>`}
    ${rows.length > 0 && !opened && html`<${Drill} open=${setOpened} clients=${[...new Set(rows.slice(0, 200).filter((row) => row.model_asked && row.client !== "dashboard").map((row) => row.client).filter(Boolean))]} />`}
    <div class=${`panes ${opened ? "two" : ""}`}>
      ${rows.length ? html`<${Table} rows=${rows} opened=${opened} open=${setOpened} cancel=${cancel} />`
        : state.isLoading ? html`<p class="soft" role="status">Loading …</p>` : !state.trouble && html`<${Nothing} filter=${filter} clear=${() => setWritten("")} />`}
      ${opened && html`<${Detail} key=${opened} id=${opened} row=${rows.find((row) => row.id === opened)} first=${firsts[opened]} close=${close} sentAgain=${sentAgain} cancel=${cancel} />`}
    </div>
  </div>`;
}

show(html`<${Page} />`);
