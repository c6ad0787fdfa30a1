// The page of the log: followed live, by level, searched.
import { Empty, ROOT, Trouble, get, html, number, show, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./core.js";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];
const RANK = { DEBUG: 0, INFO: 1, WARNING: 2, ERROR: 3, CRITICAL: 3 };
const EVERY_MS = 1000;

function joined(lines) { // what goes on with a line has its level
  let level = "INFO";
  return lines.map((line) => { level = line.level || level; return { ...line, level, isMore: !line.level }; });
}

function Page() {
  const address = new URLSearchParams(location.search);
  const [level, setLevel] = useState(address.get("level") || "DEBUG");
  const [words, setWords] = useState(address.get("q") || "");
  const [isFollowed, setFollowed] = useState(true);
  const [state, setState] = useState({ file: "", lines: null });
  const [trouble, setTrouble] = useState("");
  const box = useRef(null);

  useEffect(() => {
    const query = new URLSearchParams();
    if (level !== "DEBUG") query.set("level", level);
    if (words) query.set("q", words);
    history.replaceState(null, "", `${ROOT}/log${query.size ? `?${query}` : ""}`);
  }, [level, words]);
  useEffect(() => {
    let timer = 0, isGone = false;
    const load = async () => {
      try {
        if (!document.hidden) { const found = await get("log"); if (!isGone) { setState({ file: found.file, lines: joined(found.lines) }); setTrouble(""); } }
      } catch (error) { if (!isGone) setTrouble(error.message); }
      if (!isGone) timer = setTimeout(load, EVERY_MS);
    };
    if (isFollowed) load();
    return () => { isGone = true; clearTimeout(timer); };
  }, [isFollowed]);

  const folded = words.toLowerCase();
  const shown = useMemo(() => (state.lines || []).filter((line) => RANK[line.level] >= RANK[level]
    && (!folded || `${line.name} ${line.text}`.toLowerCase().includes(folded))), [state.lines, level, folded]);
  useLayoutEffect(() => { if (isFollowed && box.current) box.current.scrollTop = box.current.scrollHeight; }, [shown.length, isFollowed, shown.at(-1)?.time]);

  return html`<div class="requests">
    <h1 class="away">Log</h1>
    <div class="bar">
      <input type="search" value=${words} onInput=${(event) => setWords(event.target.value)} aria-label="Search the log" placeholder="Search: an id, a client, a word" spellcheck="false" />
      <label class="inline">From <select value=${level} onChange=${(event) => setLevel(event.target.value)}>${LEVELS.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select></label>
      <label class="inline"><input type="checkbox" checked=${isFollowed} onChange=${(event) => setFollowed(event.target.checked)} /> Follow</label>
      <a class="button" href=${`${ROOT}/api/log.txt`} download>Download</a>
    </div>
    <${Trouble} words=${trouble} />
    ${state.lines && !shown.length ? html`<${Empty} title=${state.lines.length ? "No line fits" : "The log is empty"}><p>${state.lines.length ? "Choose a lower level, or search for something else." : "Lines appear here as the program writes them."}</p>
      ${level === "DEBUG" && html`<p class="soft">How much the log says is the setting <a href=${`${ROOT}/settings?q=log_level`}>PROXY_LOG_LEVEL</a>.</p>`}<//>`
    : html`<div class="log" ref=${box} tabindex="0" role="log" aria-label="Log lines">${shown.map((line, at) => html`<div key=${at} class=${`log-line ${line.level.toLowerCase()}`}>
        <span class="log-time" title=${line.time}>${line.time.slice(11)}</span><span class="log-level">${line.isMore ? "" : line.level}</span><span class="log-text">${line.text}</span></div>`)}</div>`}
    <p class="soft small-print">${number(shown.length)} of the last ${number((state.lines || []).length)} lines. The whole log is <code>${state.file}</code>.</p>
  </div>`;
}

show(html`<${Page} />`);
