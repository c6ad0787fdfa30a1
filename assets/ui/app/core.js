// What every page uses: the view library, the API, numbers in the reader's own way.
import { h, render, Fragment } from "./vendor/preact.js";
import { useState, useEffect, useRef, useMemo, useCallback, useLayoutEffect } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { h, render, Fragment, useState, useEffect, useRef, useMemo, useCallback, useLayoutEffect };

export const ROOT = location.pathname.split("/").slice(0, 3).join("/");
const TOKEN = document.querySelector("meta[name=form-token]").content;

export class ApiError extends Error {
  constructor(words, value) {
    super(words);
    this.value = value;
  }
}

async function answered(response) {
  const isJson = (response.headers.get("content-type") || "").includes("json");
  const value = isJson ? await response.json() : null;
  if (response.status === 403) throw new ApiError("This page's session is over. Open it again from the tray icon.");
  if (!response.ok) throw new ApiError(value?.error?.message || value?.error || `The program answered ${response.status}.`, value);
  return value;
}

function unreachable() {
  throw new ApiError("The program does not answer. Is it still running?");
}

export async function get(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value != null));
  const response = await fetch(`${ROOT}/api/${path}${query.size ? `?${query}` : ""}`).catch(unreachable);
  return answered(response);
}

export async function getText(path) {
  const response = await fetch(`${ROOT}/api/${path}`).catch(unreachable);
  return response.ok ? response.text() : answered(response);
}

export async function post(path, value = {}) {
  const headers = { "Content-Type": "application/json", "X-Form-Token": TOKEN };
  const response = await fetch(`${ROOT}/api/${path}`, { method: "POST", headers, body: JSON.stringify(value) })
    .catch(unreachable);
  return answered(response);
}

export async function postForm(path, fields) { // for a view that answers with a page
  const response = await fetch(`${ROOT}/${path}`, { method: "POST", headers: { "X-Form-Token": TOKEN }, body: new URLSearchParams(fields) }).catch(unreachable);
  return answered(response);
}

export async function postStream(path, value, signal, heard) { // hands each event's JSON over as it comes
  const headers = { "Content-Type": "application/json", "X-Form-Token": TOKEN };
  const response = await fetch(`${ROOT}/api/${path}`, { method: "POST", headers, body: JSON.stringify(value), signal });
  if (!response.ok) return answered(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "", isDone = false;
  for (;;) {
    const { value: piece, done } = await reader.read();
    if (done) break;
    const events = (held + piece).split(/\r?\n\r?\n/);
    held = events.pop();
    for (const event of events) {
      const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (data === "[DONE]") isDone = true;
      else if (data) heard(JSON.parse(data));
    }
  }
  if (!isDone) throw new ApiError("The answer broke off before its end.");
  return null;
}

const whole = new Intl.NumberFormat();
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
export const percent = (share, digits = 0) => new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share);
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayAndClock = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const NONE = "–";
export const number = (value) => (value == null ? NONE : whole.format(value));
export const compact = (value) => (value == null ? NONE : value < 10_000 ? whole.format(value) : short.format(value));

export function money(usd) {
  if (usd == null) return NONE;
  if (usd === 0) return dollars.format(0);
  const digits = usd < 1 ? 5 : 2; // one number of digits, so that a column of them lines up
  return new Intl.NumberFormat(undefined, {
    style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", minimumFractionDigits: digits, maximumFractionDigits: digits,
  }).format(usd);
}

const dollars = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" });
export const cents = (usd) => (usd == null ? NONE : usd > 0 && usd < 0.01 ? money(usd) : dollars.format(usd)); // for sums

export function seconds(value) {
  if (value == null) return NONE;
  if (value < 1) return `${whole.format(Math.round(value * 1000))} ms`;
  return value < 60 ? `${tenths.format(value)} s` : `${whole.format(Math.floor(value / 60))} min ${Math.floor(value % 60)} s`;
}

export function bytes(value) {
  if (value == null) return NONE;
  if (value < 1024) return `${whole.format(value)} B`;
  return value < 1_048_576 ? `${tenths.format(value / 1024)} kB` : `${tenths.format(value / 1_048_576)} MB`;
}

export function when(started) {
  const date = new Date(started * 1000);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : dayAndClock.format(date);
}
export const whenFully = (started) => full.format(new Date(started * 1000));

export function Tabs({ names, chosen, choose, label }) {
  const list = useRef(null);
  useLayoutEffect(() => { // a narrow window shows but some of them
    const tab = list.current.querySelector("[aria-selected=true]");
    list.current.scrollLeft = tab.offsetLeft - (list.current.clientWidth - tab.offsetWidth) / 2;
  }, [chosen]);
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = names[(names.findIndex(([id]) => id === chosen) + step + names.length) % names.length][0];
    choose(next);
    event.currentTarget.querySelector(`[data-tab="${next}"]`).focus();
  };
  return html`<div class="tabs" ref=${list} role="tablist" aria-label=${label} onKeyDown=${move}>
    ${names.map(([id, name, count]) => html`<button key=${id} role="tab" data-tab=${id} class="tab"
      aria-selected=${id === chosen ? "true" : "false"} tabindex=${id === chosen ? 0 : -1} onClick=${() => choose(id)}>
      ${name}${count != null && html`<span class="count">${count}</span>`}</button>`)}
  </div>`;
}

export function Words({ text }) { // what stands in backticks is code
  return text.split("`").map((part, nth) => (nth % 2 ? html`<code key=${nth}>${part}</code>` : part));
}

export function Trouble({ words }) {
  return words ? html`<p class="note trouble" role="alert"><${Words} text=${words} /></p>` : null;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector(".menu[open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
});

export function show(page) {
  render(page, document.getElementById("app"));
  document.querySelector(".top [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
}
