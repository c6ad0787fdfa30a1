// The part of the settings page for tools: what there is, how the MCP servers are doing, who may run, and a call to try.
import { ROOT, Trouble, bytes, get, html, number, post, postForm, seconds, useEffect, useMemo, useState } from "./core.js";
import { Said, useProgram } from "./settings_keys.js";

const RULES = [["", "by its kind"], ["auto", "run"], ["ask", "ask me"], ["never", "never"]];
const RULE_WORDS = { auto: "runs", ask: "asks", never: "never runs" };
const STATES = { running: "good", starting: "running", down: "bad" };
const REFRESH_MS = 3000;
const STARTING_MS = 300; // while a server starts
const EVERYBODY = "*";

function example(schema) { // arguments to begin with
  const values = { string: "", number: 0, integer: 0, boolean: false, array: [], object: {} };
  const needed = schema.required || Object.keys(schema.properties || {});
  return JSON.stringify(Object.fromEntries(needed.map((name) => [name, values[schema.properties?.[name]?.type] ?? null])), null, 2);
}

function TryCall({ tool }) {
  const [text, setText] = useState(() => example(tool.parameters));
  const [state, setState] = useState({ trouble: "", found: null, isBusy: false });
  const id = `try-${tool.name}`;
  const call = async (event) => {
    event.preventDefault();
    setState({ trouble: "", found: null, isBusy: true });
    try { setState({ trouble: "", found: await post("tools/call", { name: tool.name, arguments: text }), isBusy: false }); }
    catch (error) { setState({ trouble: error.message, found: null, isBusy: false }); }
  };
  return html`<form class="row-form" onSubmit=${call}><label for=${id}>Arguments, as JSON</label>
    <textarea id=${id} rows=${Math.min(8, text.split("\n").length + 1)} spellcheck="false" value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
    <div class="choice"><button class="second small" disabled=${state.isBusy}>${state.isBusy ? "Running …" : `Run ${tool.name}`}</button></div><${Trouble} words=${state.trouble} />
    <div role="status">${state.found && html`<p class="hint"><span class=${`outcome ${state.found.outcome === "ok" ? "good" : "bad"}`}><i></i>${state.found.outcome}</span> after ${seconds(state.found.seconds)}</p><pre tabindex="0" aria-label="Result">${state.found.result}</pre>`}</div></form>`;
}

function Clients({ tool, turn, isFixed }) { // for whom it is switched off
  const [client, setClient] = useState("");
  const [known, setKnown] = useState([]);
  useEffect(() => { get("filters").then((found) => setKnown([...new Set(found.values.client.map((each) => each.split("/")[0]))]), () => {}); }, []);
  const off = tool.off_for.filter((each) => each !== EVERYBODY);
  const id = `off-${tool.name}`;
  const submit = async (event) => {
    event.preventDefault();
    if (await turn(tool.name, false, client.trim())) setClient("");
  };
  return html`<form class="row-form" onSubmit=${submit}>
    ${off.length > 0 && html`<p class="hint">Off for ${off.map((each) => html`<span class="chip" key=${each}><bdi>${each}</bdi> <button type="button" class="link" disabled=${isFixed} aria-label=${`Switch ${tool.name} on for ${each}`} onClick=${() => turn(tool.name, true, each)}>Switch on</button></span>`)}</p>`}
    <label for=${id}>Switch ${tool.name} off for one client</label>
    <div class="choice"><input id=${id} type="text" required list=${`${id}-known`} maxlength="200" disabled=${isFixed} placeholder="aider, zed, the name of a proxy key" spellcheck="false" value=${client} onInput=${(event) => setClient(event.target.value)} /><datalist id=${`${id}-known`}>${known.map((each) => html`<option key=${each} value=${each} />`)}</datalist>
      <button class="second" disabled=${isFixed}>Switch off</button></div></form>`;
}

function Tool({ tool, setRule, turn, isFixed, isOffFixed }) {
  const [open, setOpen] = useState("");
  const isOff = tool.off_for.includes(EVERYBODY);
  const others = tool.off_for.filter((each) => each !== EVERYBODY).length;
  const opener = (name, words) => html`<button type="button" class="second small" aria-expanded=${open === name ? "true" : "false"} aria-label=${`${words}: ${tool.name}`} onClick=${() => setOpen(open === name ? "" : name)}>${words}</button>`;
  return html`<li class="line-item" data-tool=${tool.name}><div class="what"><b><bdi>${tool.name}</bdi></b><small><bdi>${tool.description.split("\n")[0]}</bdi></small></div>
    <span class="soft"><bdi>${tool.source}</bdi> · ${isOff ? "off for everybody" : `${bytes(tool.bytes)} in each request`}${others > 0 ? `, off for ${number(others)} ${others === 1 ? "client" : "clients"}` : ""}</span>
    <div class="choice"><label class="switch" title="Offer it to models"><input type="checkbox" role="switch" aria-label=${`Offer ${tool.name}`} checked=${!isOff} disabled=${isOffFixed} onChange=${(event) => turn(tool.name, event.target.checked)} /></label>
      <select aria-label=${`May ${tool.name} run?`} disabled=${isFixed} value=${tool.own_rule || ""} onChange=${(event) => setRule(tool.name, event.target.value || null)}>
      ${RULES.map(([value, words]) => html`<option key=${value} value=${value}>${words}${value === "" ? ` (${RULE_WORDS[tool.rule]})` : ""}</option>`)}</select>
      ${opener("try", "Try")}${opener("clients", "Clients")}</div>
    ${open === "try" && html`<${TryCall} tool=${tool} />`}${open === "clients" && html`<${Clients} tool=${tool} turn=${turn} isFixed=${isOffFixed} />`}</li>`;
}

function Question({ question, decide }) {
  return html`<section class="question"><h3>May <code>${question.tool}</code> run? <span class="soft">from <bdi>${question.source}</bdi>${question.asker && html`, asked by <bdi>${question.asker}</bdi>`}</span></h3><pre tabindex="0" aria-label="Arguments">${question.arguments}</pre>
    <div class="choice"><button type="button" onClick=${() => decide(question.id, "yes")}>Allow</button><button type="button" class="second" onClick=${() => decide(question.id, "always")}>Always allow</button><button type="button" class="quiet" onClick=${() => decide(question.id, "no")}>Refuse</button></div></section>`;
}

export function Tools({ isOn, words }) {
  const program = useProgram("tools");
  const { state, setState, said, setSaid, load } = program;
  const isStarting = Boolean(state?.servers.some((server) => server.state === "starting"));
  useEffect(() => { load(); }, [isOn]);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || load(), isStarting ? STARTING_MS : REFRESH_MS);
    return () => clearInterval(timer);
  }, [isStarting]);
  const setRule = (name, rule) => post("tools/rule", { name, rule }).then((found) => { setState(found); setSaid({ words: "", trouble: "" }); }, (error) => { setSaid({ words: "", trouble: error.message }); load(); });
  const turn = async (name, on, client) => { // for everybody without a client; drawn anew, the switch shows what holds
    try { setState(await post("tools/switch", { name, on, ...(client ? { client } : {}) })); setSaid({ words: "", trouble: "" }); return true; }
    catch (error) { setSaid({ words: "", trouble: error.message }); load(); return false; }
  };
  const decide = (id, decision) => postForm(`approvals/${id}`, { decision }).then(load, (error) => setSaid({ words: "", trouble: error.message }));
  const folded = words.toLowerCase();
  const shown = useMemo(() => (state?.tools || []).filter((tool) => !folded || `tool ${tool.name} ${tool.source} ${tool.description}`.toLowerCase().includes(folded)), [state, folded]);
  const problems = (state?.problems || []).filter((each) => !state.servers.some((server) => server.problem && each.includes(server.problem))); // those stand beside their server
  if (!state) return html`<${Said} said=${said} />`;
  return html`<div class="sub"><${Said} said=${said} />${state.questions.map((each) => html`<${Question} key=${each.id} question=${each} decide=${decide} />`)}
    ${!state.is_on ? html`<h3>Your tools</h3><p class="soft">Tools are off: the proxy runs none for the model. Switch them on above to see them here. Functions stand in <code>${state.file}</code>, MCP servers in <code>${state.servers_file}</code>.</p>` : html`
    <h3>MCP servers</h3>${state.servers.length ? html`<ul class="lines">${state.servers.map((server) => html`<li class="line-item" key=${server.name}><div class="what"><b><bdi>${server.name}</bdi></b><small>${server.way}, ${number(server.tools)} ${server.tools === 1 ? "tool" : "tools"}</small></div>
      <span class=${`outcome ${STATES[server.state]}`}><i></i>${server.state}</span><span></span>
      ${server.problem && html`<p class="note trouble">${server.problem}</p>`}
      ${server.last_words.length > 0 && html`<details class="fold"><summary>What it wrote last</summary><pre tabindex="0" aria-label=${`Last words of ${server.name}`}>${server.last_words.join("\n")}</pre></details>`}</li>`)}</ul>`
      : html`<p class="soft">None. Name them in <code>${state.servers_file}</code>, in the form other programs use.</p>`}
    <h3>Tools <span class="soft">– ${state.tools.length ? `${number(state.tools.length)}; ${bytes(state.bytes)}, about ${number(state.tokens)} tokens, in each request` : "none"}</span></h3>
    ${problems.length > 0 && html`<ul class="note asking plain">${problems.map((each) => html`<li key=${each}>${each}</li>`)}</ul>`}
    <ul class="lines">${shown.map((tool) => html`<${Tool} key=${tool.name} tool=${tool} setRule=${setRule} turn=${turn} isFixed=${Boolean(state.rules_fixed_by)} isOffFixed=${Boolean(state.off_fixed_by)} />`)}</ul>
    ${!state.tools.length && html`<p class="soft">There is none yet. Write functions into <code>${state.file}</code>.</p>`}
    <p class="soft small-print">All questions are on the page <a href=${`${ROOT}/approvals`}>Approvals</a> too.</p>`}</div>`;
}
