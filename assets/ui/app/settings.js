// The page of settings: each with its meaning, value and origin, saved one by one.
import { ROOT, Trouble, Words, get, html, post, show, useEffect, useState } from "./core.js";
import { SideBySide } from "./diff.js";
import { Kept, Keys, Learned, Origins, useProgram } from "./settings_keys.js";
import { Tools } from "./settings_tools.js";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];
const EXAMPLE = '{\n  "model": "gpt-5-mini",\n  "temperature": 1,\n  "messages": [{"role": "user", "content": "Hello"}]\n}';

const written = (row) => (row.value == null ? "" : row.kind === "json" ? JSON.stringify(row.value, null, 2) : row.kind === "list" ? row.value.join(", ") : String(row.value));

function read(row, text) { // raises an Error with words for the reader
  const trimmed = text.trim();
  if (row.kind === "number") {
    const value = Number(trimmed);
    if (trimmed === "" || Number.isNaN(value)) throw new Error(`It expects ${row.expects}.`);
    return value;
  }
  if (row.kind === "json") {
    if (!trimmed) return null;
    try { return JSON.parse(trimmed); } catch (error) { throw new Error(`This is no JSON (${error.message}). It expects ${row.expects}.`); }
  }
  if (row.kind === "list") return trimmed ? trimmed.split(",").map((each) => each.trim()).filter(Boolean) : null;
  return trimmed === "" ? null : trimmed;
}

function Field({ row, text, setText, save, id }) {
  const common = { id, "aria-describedby": `${id}-meaning` };
  if (row.kind === "switch") return html`<label class="switch"><input type="checkbox" role="switch" ...${common} checked=${row.value} disabled=${Boolean(row.fixed)} onChange=${(event) => save(event.target.checked)} /><span>${row.value ? "On" : "Off"}</span></label>`;
  if (row.fixed) return html`<input type="text" ...${common} value=${row.shown} disabled />`;
  if (row.kind === "level") return html`<select ...${common} value=${row.value} onChange=${(event) => save(event.target.value)}>${LEVELS.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select>`;
  if (row.kind === "json") return html`<textarea ...${common} rows=${Math.min(12, text.split("\n").length + 1)} spellcheck="false" value=${text} onInput=${(event) => setText(event.target.value)}></textarea>`;
  return html`<input type="text" ...${common} inputmode=${row.kind === "number" ? "decimal" : "text"} value=${text} spellcheck="false" placeholder=${row.default == null ? row.expects : ""} onInput=${(event) => setText(event.target.value)} />`;
}

function Setting({ row, replace }) {
  const [text, setText] = useState(written(row));
  const [state, setState] = useState({ trouble: "", saved: false });
  const [drawn, setDrawn] = useState(row);
  if (drawn !== row) { setDrawn(row); setText(written(row)); }
  const id = `set-${row.name}`;
  const save = async (value) => {
    try {
      replace(await post(`settings/${row.name}`, { value }));
      setState({ trouble: "", saved: true });
      setTimeout(() => setState((old) => ({ ...old, saved: false })), 2500);
    } catch (error) {
      setState({ trouble: error.message, saved: false }); // drawn anew, a switch goes back to what holds
    }
  };
  const submit = (event) => {
    event.preventDefault();
    let value;
    try { value = read(row, text); } catch (error) { setState({ trouble: error.message, saved: false }); return; }
    save(value);
  };
  const isChanged = text !== written(row);
  return html`<form class=${`setting ${row.fixed ? "fixed" : ""}`} onSubmit=${submit} data-setting=${row.name}>
    <div><label for=${id}>${row.variable}</label><p id=${`${id}-meaning`}><${Words} text=${row.meaning} />.</p></div>
    <div class="value"><${Field} row=${row} text=${text} setText=${setText} save=${save} id=${id} />
      <p class="origin">${row.fixed ? html`<span>${row.fixed}.</span>` : html`<span>${row.origin === "default" ? "Default" : row.origin === "not known" ? "Not known while the settings file is wrong" : `From the ${row.origin}`}</span>
        ${row.moves_server && html`<span>Moves the server; running answers are finished</span>`}
        ${row.origin === "settings file" && html`<button type="button" class="link" onClick=${() => save(null)}>Back to the default</button>`}`}</p>
      ${isChanged && !row.fixed && html`<div class="choice"><button class="small">Save</button><button type="button" class="second small" onClick=${() => setText(written(row))}>Undo</button></div>`}
      <div role="status">${state.saved && html`<p class="saved">Saved; it holds from the next request.</p>`}</div>
      <${Trouble} words=${state.trouble} /></div>
  </form>`;
}

function TryRules() {
  const [body, setBody] = useState(EXAMPLE);
  const [found, setFound] = useState(null);
  const [trouble, setTrouble] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    try { setFound({ before: body, ...(await post("try-rules", { body })) }); setTrouble(""); } catch (error) { setFound(null); setTrouble(error.message); }
  };
  return html`<form class="try-rules" onSubmit=${submit}><label for="try-body">Try the parameter rules: paste a body, see what is sent</label>
    <textarea id="try-body" rows="6" spellcheck="false" value=${body} onInput=${(event) => setBody(event.target.value)}></textarea>
    <p><button class="second small">Try</button></p><${Trouble} words=${trouble} />
    ${found && (found.changed.length ? html`<${SideBySide} before=${found.before} after=${found.sent} />` : html`<p class="note success">The rules change nothing in this body.</p>`)}</form>`;
}

function Page() {
  const [state, setState] = useState(null);
  const [trouble, setTrouble] = useState("");
  const [words, setWords] = useState(new URLSearchParams(location.search).get("q") || "");
  useEffect(() => { get("settings").then(setState, (error) => setTrouble(error.message)); }, []);
  useEffect(() => history.replaceState(null, "", `${ROOT}/settings${words ? `?q=${encodeURIComponent(words)}` : ""}`), [words]);
  const replace = (row) => setState((old) => ({ ...old, settings: old.settings.map((each) => (each.name === row.name ? row : each)) }));
  const folded = words.toLowerCase();
  const shown = (state?.settings || []).filter((row) => !folded || `${row.name} ${row.meaning}`.toLowerCase().includes(folded));
  const keys = useProgram("keys");
  const fits = (text) => !folded || text.includes(folded);
  const groups = [...new Set(shown.map((row) => row.group))];
  const showsKeys = fits("keys api key proxy key try set delete revoke");
  const anchor = (name) => name.toLowerCase().replace(/\W+/g, "-");
  return html`<div class="settings"><div class="page-head"><h1>Settings</h1>
      <input type="search" value=${words} onInput=${(event) => setWords(event.target.value)} aria-label="Search the settings" placeholder="Search the settings" /></div>
    <${Trouble} words=${trouble || state?.warning} />
    ${state?.taken_up && Date.now() / 1000 - state.taken_up.at < 600 && html`<p class="note success" role="status">${state.taken_up.text}</p>`}
    <div class="with-index"><nav class="index" aria-label="Parts of this page">${[...(showsKeys ? ["Keys"] : []), ...groups].map((group) => html`<a key=${group} href=${`#${anchor(group)}`}>${group}</a>`)}</nav><div>
    ${showsKeys && html`<${Keys} keys=${keys} />`}
    ${groups.map((group) => html`<section key=${group} id=${anchor(group)} data-group=${group}><h2>${group}</h2>${shown.filter((row) => row.group === group).map((row) => html`<${Setting} key=${row.name} row=${row} replace=${replace} />`)}
      ${group === "Models and parameters" && html`<${TryRules} /><${Learned} keys=${keys} />`}
      ${group === "Usage and requests" && html`<${Kept} />`}
      ${group === "Who may call" && html`<${Origins} keys=${keys} />`}
      ${group === "Tools" && html`<${Tools} isOn=${state.settings.find((row) => row.name === "enable_tool_execution")?.value} words=${words} />`}</section>`)}
    ${state && !shown.length && !showsKeys && html`<p class="soft">No setting fits. <button class="link" onClick=${() => setWords("")}>Show all</button></p>`}
    ${state && html`<p class="soft">They are kept in <code>${state.file}</code>, which may be edited by hand too. No key stands in it.</p>`}</div></div></div>`;
}

show(html`<${Page} />`);
