// The fault drill: break the next answer of one client, once, and see whether its user notices.
import { ROOT, Trouble, get, html, post, useEffect, useRef, useState } from "./core.js";

const EVERY_MS = 2000; // while one is armed

export function Drill({ clients, open }) {
  const [state, setState] = useState(null);
  const [fields, setFields] = useState({ client: clients[0] || "", fault: "" });
  const [isOpen, setOpen] = useState(false);
  const [trouble, setTrouble] = useState("");
  const first = useRef(null);
  const armed = state?.armed?.length > 0;
  const load = () => get("drill").then((found) => { setState(found); setFields((old) => ({ ...old, fault: old.fault || found.faults[0]?.name || "" })); }, (error) => setTrouble(error.message));
  useEffect(() => { load(); }, []);
  useEffect(() => {
    if (!armed) return undefined;
    const timer = setInterval(() => document.hidden || load(), EVERY_MS);
    return () => clearInterval(timer);
  }, [armed]);
  useEffect(() => { if (isOpen) first.current.focus(); }, [isOpen]);
  const arm = async (client, fault) => {
    try { setState(await post("drill", { client, fault })); setTrouble(""); if (fault) setOpen(false); } catch (error) { setTrouble(error.message); }
  };
  const chosen = state?.faults.find((each) => each.name === fields.fault);
  const last = state?.last;
  return html`<div class="drill">
    ${state?.armed?.map((each) => html`<p class="note asking" role="status" key=${each.client}>The next answer to <bdi><b>${each.client}</b></bdi> breaks (${each.fault}), once. <button class="second small" onClick=${() => arm(each.client, null)}>Leave it whole</button></p>`)}
    ${last && !armed && html`<p class="note asking" role="status">The answer to <bdi><b>${last.client}</b></bdi> was broken (${last.fault}). Did its user notice? ${last.id && html`<a href=${`${ROOT}/requests?id=${encodeURIComponent(last.id)}`} onClick=${(event) => { event.preventDefault(); open(last.id); }}>See it</a>`}</p>`}
    ${!isOpen ? html`<button type="button" class="link" onClick=${() => setOpen(true)}>Break an answer, to see whether a tool notices …</button>`
    : html`<form class="again" onSubmit=${(event) => { event.preventDefault(); arm(fields.client, fields.fault); }}>
      <label>Client <input type="text" ref=${first} required list="drill-clients" value=${fields.client} onInput=${(event) => setFields({ ...fields, client: event.target.value })} /></label><datalist id="drill-clients">${clients.map((each) => html`<option key=${each} value=${each} />`)}</datalist>
      <label>How its next answer breaks <select value=${fields.fault} onChange=${(event) => setFields({ ...fields, fault: event.target.value })}>${(state?.faults || []).map((each) => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select></label>
      <button class="small">Break it, once</button><button type="button" class="quiet small" onClick=${() => setOpen(false)}>Leave it</button>
      ${chosen && html`<p class="hint">${chosen.meaning}</p>`}</form>`}
    <${Trouble} words=${trouble} /></div>`;
}
