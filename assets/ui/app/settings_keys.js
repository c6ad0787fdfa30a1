// The parts of the settings page for keys, refused origins and learned repairs.
import { Trouble, bytes, get, html, number, post, useEffect, useState } from "./core.js";

export function useProgram(path) { // what the program says, and a way to change it
  const [state, setState] = useState(null);
  const [said, setSaid] = useState({ words: "", trouble: "" });
  const load = () => get(path).then(setState, (error) => setSaid({ words: "", trouble: error.message }));
  useEffect(() => { load(); }, []);
  const change = async (to, value) => {
    setSaid({ words: "", trouble: "" });
    try {
      const found = await post(to, value);
      if (found.said !== undefined) setState(found);
      setSaid({ words: found.said || "", trouble: "" });
      return found;
    } catch (error) { setSaid({ words: "", trouble: error.message }); return null; }
  };
  return { state, setState, said, setSaid, load, change };
}

export function Said({ said }) {
  return html`<div role="status">${said.words && html`<p class="note success">${said.words}</p>`}</div><${Trouble} words=${said.trouble} />`;
}

function UpstreamKey({ row, change }) {
  const [isOpen, setOpen] = useState(false);
  const [key, setKey] = useState("");
  const [isBusy, setBusy] = useState(false);
  const work = async (to, value = {}) => { setBusy(true); const done = await change(to, { name: row.name, ...value }); setBusy(false); return done; };
  const keep = async (event) => {
    event.preventDefault();
    if (await work("keys/set", { key })) { setKey(""); setOpen(false); }
  };
  const id = `key-of-${row.name}`;
  return html`<li class="line-item" data-key=${row.name}><div class="what"><b><bdi>${row.name}</bdi></b><small><bdi>${row.base_url}</bdi></small></div>
    <span class="soft">${row.is_locked ? "not read: the keyring is locked" : row.state}${row.is_fixed ? "; changed there" : ""}</span>
    <div class="choice">${row.needs_key && html`<button type="button" class="second small" disabled=${isBusy || !row.is_set} onClick=${() => work("keys/try")}>${isBusy ? "Trying …" : "Try"}</button>
      ${!row.is_fixed && html`<button type="button" class="second small" aria-expanded=${isOpen ? "true" : "false"} onClick=${() => setOpen(!isOpen)}>${row.is_set ? "Replace" : "Set"}</button>`}
      ${row.is_set && !row.is_fixed && html`<button type="button" class="quiet small" disabled=${isBusy} onClick=${() => confirm(`Forget the key of ${row.name}?`) && work("keys/forget")}>Delete</button>`}`}</div>
    ${isOpen && html`<form class="row-form" onSubmit=${keep} autocomplete="off"><label for=${id}>API key of ${row.name}</label>
      <div class="choice"><input id=${id} type="password" required spellcheck="false" autocomplete="off" value=${key} onInput=${(event) => setKey(event.target.value)} /><button disabled=${isBusy}>Try and keep</button></div></form>`}</li>`;
}

function ProxyKeys({ keys, change, setSaid, load }) {
  const [name, setName] = useState("");
  const [made, setMade] = useState(null);
  const [isCopied, setCopied] = useState(false);
  const make = async (event) => {
    event.preventDefault();
    const found = await change("keys/proxy/new", { name });
    if (!found) return;
    setMade(found);
    setCopied(false);
    setName("");
    load();
  };
  return html`<h3>Proxy keys <span class="soft">– what your tools show the proxy${keys.is_required ? "" : "; none is asked for now"}</span></h3>
    ${made && html`<div class="note success made"><p>The key <bdi>${made.name}</bdi>. It is shown this once:</p><div class="choice"><code>${made.key}</code>
      <button type="button" class="second small" onClick=${async () => { await navigator.clipboard.writeText(made.key); setCopied(true); }}>${isCopied ? "Copied" : "Copy"}</button>
      <button type="button" class="second small" onClick=${() => setMade(null)}>Done</button></div></div>`}
    <ul class="lines">${keys.proxy_keys.map((key) => html`<li class="line-item" key=${key.name}><div class="what"><b><bdi>${key.name}</bdi></b></div><span class="soft">${key.is_fixed ? "from the settings of this start; changed there" : key.made && `made ${key.made}`}</span>
      <div class="choice">${!key.is_fixed && html`<button type="button" class="quiet small" aria-label=${`Revoke ${key.name}`} onClick=${() => confirm(`Revoke ${key.name}? The tool that uses it is refused from then on.`) && change("keys/proxy/revoke", { name: key.name })}>Revoke</button>`}</div></li>`)}</ul>
    ${!keys.proxy_keys.length && html`<p class="soft">There is none.</p>`}
    <form class="row-form" onSubmit=${make}><label for="new-proxy-key">A new key for</label><div class="choice"><input id="new-proxy-key" type="text" maxlength="64" required placeholder="laptop, zed, a colleague" value=${name} onInput=${(event) => { setName(event.target.value); setSaid({ words: "", trouble: "" }); }} /><button class="second">Make a key</button></div></form>`;
}

function Locked({ change }) {
  const [isBusy, setBusy] = useState(false);
  const unlock = async () => { setBusy(true); await change("keys/unlock"); setBusy(false); };
  return html`<div class="note asking"><p>The system's keyring is locked, so the keys in it cannot be read. Unlocking it opens the keyring's own window.</p>
    <button type="button" class="second small" disabled=${isBusy} onClick=${unlock}>${isBusy ? "Waiting for the keyring …" : "Unlock"}</button></div>`;
}

export function Keys({ keys }) {
  const { state, change, said } = keys;
  return html`<section id="keys" data-group="Keys"><h2>Keys</h2><${Said} said=${said} />
    ${state?.upstreams.some((row) => row.is_locked) && html`<${Locked} change=${change} />`}
    ${state && html`<h3>Providers' keys <span class="soft">– kept in the system's keyring, never shown</span></h3><ul class="lines">${state.upstreams.map((row) => html`<${UpstreamKey} key=${row.name} row=${row} change=${change} />`)}</ul>
    <${ProxyKeys} keys=${state} ...${keys} />`}</section>`;
}

export function Origins({ keys }) {
  const { state, change } = keys;
  if (!state) return null;
  return html`<div class="sub"><h3>Refused web pages and apps</h3>
    ${state.refused_origins.length ? html`<p class="soft">They tried to use the proxy. Allow only what you know and trust: it can spend your money.</p>
      <ul class="lines">${state.refused_origins.map((origin) => html`<li class="line-item" key=${origin}><code>${origin}</code><div class="choice"><button type="button" class="second small" aria-label=${`Allow ${origin}`} onClick=${() => change("origins/allow", { origin })}>Allow</button></div></li>`)}</ul>`
    : html`<p class="soft">None since the program started.</p>`}</div>`;
}

export function Kept() { // what is on the disk, where the program keeps any
  const [disk, setDisk] = useState(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => { get("capture").then((found) => setDisk(found.disk), () => {}); }, []);
  const clear = () => confirm("Delete all requests that are kept on the disk?") && post("capture/delete").then((found) => setDisk(found.disk), (error) => setTrouble(error.message));
  if (!disk || (!disk.days && !disk.requests)) return null;
  return html`<div class="sub"><h3>Kept on the disk</h3><p class="soft">${number(disk.requests)} ${disk.requests === 1 ? "request" : "requests"}, ${bytes(disk.bytes)}, in <code>${disk.folder}</code></p><${Trouble} words=${trouble} />
    ${disk.requests > 0 && html`<p><button type="button" class="second small" onClick=${clear}>Delete them</button></p>`}</div>`;
}

export function Learned({ keys }) {
  const { state, change } = keys;
  if (!state) return null;
  const many = state.learned.length;
  return html`<div class="sub"><h3>Learned from refusals</h3>
    ${many ? html`<ul class="plain">${state.learned.map((each) => html`<li key=${each}>${each}</li>`)}</ul><p><button type="button" class="second small" onClick=${() => change("learned/forget")}>Forget ${many === 1 ? "it" : `all ${number(many)}`}</button></p>`
    : html`<p class="soft">Nothing yet. Where an upstream refuses a parameter and takes the request without it, that is kept here for 30 days.</p>`}</div>`;
}
