// The first page: the first steps where no key is there yet, a test request, and what was used today.
import { ROOT, Trouble, cents, compact, get, html, number, post, postStream, seconds, show, useEffect, useRef, useState, when } from "./core.js";
import { Model, Outcome } from "./row_parts.js";

const OTHER = { name: "other", title: "Other address", about: "Any server that speaks the OpenAI API", base_url: "", keys_url: "", needs_key: true };

export function Copy({ text, name }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<button type="button" class="second small" onClick=${copy} aria-label=${`Copy ${name}`}>${isCopied ? "Copied" : "Copy"}</button>`;
}

async function showProvider() { // the box beside the steps is the server's: it is taken from the page as it is now
  const page = new DOMParser().parseFromString(await (await fetch(location.pathname)).text(), "text/html");
  const box = page.getElementById("provider");
  box?.querySelectorAll("[autofocus]").forEach((each) => each.removeAttribute("autofocus"));
  if (box) document.getElementById("provider")?.replaceWith(document.adoptNode(box));
}

function Chooser({ state, done }) {
  const providers = [...state.providers, OTHER];
  const [name, setName] = useState("openai");
  const [fields, setFields] = useState({ key: "", base_url: "", where: "keyring" });
  const [trouble, setTrouble] = useState({ words: "", may_keep: false });
  const [isBusy, setBusy] = useState(false);
  const chosen = providers.find((each) => each.name === name);
  const set = (field) => (event) => setFields({ ...fields, [field]: event.target.value });
  const send = async (anyway) => {
    setBusy(true);
    setTrouble({ words: "", may_keep: false });
    try { done(await post("first/provider", { ...fields, provider: name, anyway })); }
    catch (error) { setTrouble({ words: error.message, may_keep: error.value?.may_keep }); }
    setBusy(false);
  };
  return html`<form class="chooser" onSubmit=${(event) => { event.preventDefault(); send(false); }} autocomplete="off">
    <fieldset class="cards-of-choice"><legend class="away">Provider</legend>
      ${providers.map((each) => html`<label key=${each.name} class="choice-card"><input type="radio" name="provider" value=${each.name} checked=${each.name === name} onChange=${() => { setName(each.name); setTrouble({ words: "", may_keep: false }); }} />
        <span><b>${each.title}</b><small>${each.about}</small></span></label>`)}</fieldset>
    ${chosen === OTHER && html`<label for="first-url">Address</label><input id="first-url" type="text" inputmode="url" required spellcheck="false" placeholder="https://api.example.com/v1" value=${fields.base_url} onInput=${set("base_url")} />`}
    ${chosen.needs_key ? html`<label for="first-key">${chosen === OTHER ? "API key, if it asks for one" : `${chosen.title} API key`}</label>
      <input id="first-key" type="password" required=${chosen !== OTHER} spellcheck="false" autocomplete="off" value=${fields.key} onInput=${set("key")} />
      ${chosen.keys_url && html`<p class="hint">You get one at <a href=${chosen.keys_url} target="_blank" rel="noreferrer">${chosen.keys_url.replace("https://", "")}</a>.</p>`}
      <fieldset><legend>Keep it</legend>
        <label><input type="radio" name="first-where" checked=${fields.where === "keyring"} onChange=${() => setFields({ ...fields, where: "keyring" })} /> in the system's keyring</label>
        <label><input type="radio" name="first-where" checked=${fields.where === "session"} onChange=${() => setFields({ ...fields, where: "session" })} /> for this session only</label></fieldset>`
    : html`<p class="hint">It is looked for at <code>${chosen.base_url}</code>. Start ${chosen.title} first.</p>`}
    <${Trouble} words=${trouble.words} />
    <div class="choice"><button disabled=${isBusy}>${isBusy ? "Trying it …" : chosen.needs_key ? "Try and keep the key" : `Use ${chosen.title}`}</button>
      ${trouble.may_keep && html`<button type="button" class="second" disabled=${isBusy} onClick=${() => send(true)}>Keep it anyway</button>`}</div></form>`;
}

function TestRequest({ isReady, isLazy, passed }) {
  const [models, setModels] = useState(null);
  const [model, setModel] = useState("");
  const [state, setState] = useState({ text: "", trouble: "", isRunning: false, facts: "" });
  const stop = useRef(null);
  const hasAsked = useRef(false);
  const offer = (found) => { setModels((old) => [...new Set([...(old || []), ...found])]); setModel((old) => old || found[0] || ""); };
  const ask = () => { // the upstream's list: a request of its own, so not at each look at this page
    if (hasAsked.current) return;
    hasAsked.current = true;
    get("first/models").then(({ models: found }) => offer(found), (error) => setState((old) => ({ ...old, trouble: error.message })));
  };
  useEffect(() => {
    if (!isReady) return;
    if (!isLazy) { ask(); return; }
    get("requests", { limit: 50 }).then(({ requests }) => {
      const used = requests.map((row) => row.model_asked).filter(Boolean);
      if (used.length) offer(used); else ask();
    }, ask);
  }, [isReady]);
  const send = async (event) => {
    event.preventDefault();
    const began = performance.now();
    let first = null, text = "";
    stop.current = new AbortController();
    setState({ text: "", trouble: "", isRunning: true, facts: "" });
    try {
      await postStream("first/test", { model }, stop.current.signal, (piece) => {
        const said = piece.choices?.[0]?.delta?.content;
        if (piece.error) throw new Error(piece.error.message || "The answer is an error.");
        if (!said) return;
        first ??= performance.now() - began;
        text += said;
        setState((old) => ({ ...old, text }));
      });
      const took = performance.now() - began;
      setState((old) => ({ ...old, isRunning: false, facts: first == null ? "The answer holds no text." : `First word after ${seconds(first / 1000)}, whole after ${seconds(took / 1000)}.` }));
      passed();
    } catch (error) {
      setState((old) => ({ ...old, isRunning: false, trouble: error.name === "AbortError" ? "Stopped." : error.message }));
    }
  };
  return html`<form class="test" onSubmit=${send}>
      <label for="test-model">Model</label>
      <div class="choice"><input id="test-model" type="text" list="test-models" required disabled=${!isReady} value=${model} spellcheck="false" autocomplete="off" placeholder=${models ? "the model's name" : ""} onFocus=${ask} onInput=${(event) => setModel(event.target.value)} />
        <datalist id="test-models">${(models || []).slice(0, 300).map((each) => html`<option key=${each} value=${each} />`)}</datalist>
        ${state.isRunning ? html`<button type="button" class="second" onClick=${() => stop.current.abort()}>Stop</button>` : html`<button disabled=${!isReady}>Send a test request</button>`}</div>
      ${(state.text || state.isRunning) && html`<div class="answer-box text" dir="auto" aria-live="polite">${state.text || html`<span class="soft writing">Waiting for the answer …</span>`}</div>`}
      <${Trouble} words=${state.trouble} />
      ${state.facts && html`<p class="hint">${state.facts} <a href=${`${ROOT}/requests?q=client:dashboard`}>See what was sent</a></p>`}</form>`;
}

function Today() {
  const [total, setTotal] = useState(null);
  useEffect(() => {
    const load = () => document.hidden || get("usage", { days: 1, by: "model" }).then((found) => setTotal(found.total), () => setTotal(null));
    load();
    const timer = setInterval(load, 15_000);
    return () => clearInterval(timer);
  }, []);
  const tokens = total && (total.input_tokens || 0) + (total.output_tokens || 0);
  const tiles = [["Requests", total && number(total.requests)], ["Tokens", total && compact(tokens)], ["Cost", total && cents(total.requests ? total.cost_usd : 0)]];
  return html`<div class="tiles">${tiles.map(([name, value]) => html`<a class="tile" key=${name} href=${`${ROOT}/usage?days=1`}><span class="name">${name}<span class="wide-only"> today</span></span><span class="big">${value ?? "–"}</span></a>`)}</div>`;
}

function Recent() {
  const [rows, setRows] = useState(null);
  useEffect(() => {
    const load = () => document.hidden || get("requests", { limit: 6 }).then((found) => setRows(found.requests), () => setRows(null));
    load();
    const timer = setInterval(load, 3_000);
    return () => clearInterval(timer);
  }, []);
  if (!rows) return null;
  return html`<section class="recent"><h2>Last requests <a href=${`${ROOT}/requests`}>All requests</a></h2>
    ${rows.length ? html`<ul class="lines">${rows.map((row) => html`<li key=${row.id}><a class="recent-row" href=${`${ROOT}/requests?id=${encodeURIComponent(row.id)}`}>
      <span class="r-model"><${Model} row=${row} /></span><span class="soft r-client"><bdi>${row.client || "unnamed program"}</bdi></span><${Outcome} row=${row} isShort /><span class="num soft">${when(row.started)}</span></a></li>`)}</ul>`
    : html`<p class="soft">Nothing has been asked yet. <a href=${`${ROOT}/connect`}>Connect a tool</a>, or send a test request above.</p>`}</section>`;
}

function Step({ number: nth, title, isDone, children }) {
  return html`<li class=${isDone ? "done" : ""}><h3><span class="nth" aria-hidden="true">${isDone ? "✓" : nth}</span>${title}${isDone && html`<span class="away"> (done)</span>`}</h3>${children}</li>`;
}

function Page() {
  const [state, setState] = useState(null);
  const [said, setSaid] = useState("");
  const [trouble, setTrouble] = useState("");
  const [isFirst, setFirst] = useState(false); // it stays until the page is left: the steps do not vanish under one's hand
  const [hasPassed, setPassed] = useState(false);
  useEffect(() => { get("first").then((found) => { setState(found); setFirst(found.needs_key && !found.is_demo); }, (error) => setTrouble(error.message)); }, []);
  if (!state) return html`<${Trouble} words=${trouble} />`;
  const base = `${location.origin}/v1`;
  const connect = html`<p>Enter <code>${base}</code> <${Copy} text=${base} name="the base URL" /> as base URL in your editor or program, or let it be done:</p><p><a class="button" href=${`${ROOT}/connect`}>Connect a tool</a></p>`;
  if (!isFirst) return html`<${Today} /><section><h2>Try it</h2><p>A short question goes the way of your tools' requests.</p><${TestRequest} isReady isLazy passed=${() => setPassed(true)} />
    ${hasPassed && html`<p class="hint">It works. Next: <a href=${`${ROOT}/connect`}>connect a tool</a>.</p>`}</section><${Recent} />`;
  const isReady = !state.needs_key;
  return html`<section class="first"><h2>Three steps, and your tools have one address for all models</h2>${state.problem && !isReady && !document.getElementById("locked") && html`<p class="note asking">${state.problem.replace(/\.?$/, ".")} A key that is there already counts once the keyring can be read; one entered here can be kept for this session.</p>`}<ol class="steps">
    <${Step} number="1" title="Choose your provider" isDone=${isReady}>${isReady ? html`<p class="note success" role="status">${said}</p>` : html`<${Chooser} state=${state} done=${(found) => { setState(found); setSaid(found.said); showProvider().catch(() => {}); }} />`}<//>
    <${Step} number="2" title="Send a test request" isDone=${hasPassed}>${isReady && html`<${TestRequest} isReady=${isReady} passed=${() => setPassed(true)} />`}<//>
    <${Step} number="3" title="Connect a tool">${isReady && connect}<//></ol></section>`;
}

show(html`<${Page} />`);
