// Two JSON texts side by side, line by line, the changed lines marked.
import { html, useMemo } from "./core.js";

const MAX_COMPARED = 1500; // lines that differ; beyond, all of them are marked

export function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

export function compared(before, after) {
  const left = before.split("\n"), right = after.split("\n");
  let start = 0, end = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start += 1;
  while (end < left.length - start && end < right.length - start && left.at(-1 - end) === right.at(-1 - end)) end += 1;
  const a = left.slice(start, left.length - end), b = right.slice(start, right.length - end);
  const lines = left.slice(0, start).map((text) => ["same", text, text]);
  if (a.length + b.length > MAX_COMPARED) {
    for (let at = 0; at < Math.max(a.length, b.length); at += 1) lines.push(["changed", a[at], b[at]]);
  } else {
    const longest = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i -= 1) {
      for (let j = b.length - 1; j >= 0; j -= 1) longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) lines.push(["same", a[i++], b[j++]]);
      else if (j >= b.length || (i < a.length && longest[i + 1][j] >= longest[i][j + 1])) lines.push(["removed", a[i++], undefined]);
      else lines.push(["added", undefined, b[j++]]);
    }
  }
  for (const text of left.slice(left.length - end, left.length)) lines.push(["same", text, text]);
  return lines;
}

export function SideBySide({ before, after }) {
  const lines = useMemo(() => compared(pretty(before ?? ""), pretty(after ?? "")), [before, after]);
  const side = (nth, name) => html`<div class="side" tabindex="0" role="region" aria-label=${name}><h3>${name}</h3><pre>${lines.map(([kind, ...texts], at) => {
    const isMarked = kind !== "same" && texts[nth] !== undefined;
    return html`<span key=${at} class=${isMarked ? (nth ? "line added" : "line removed") : texts[nth] === undefined ? "line gap" : "line"}>${texts[nth] ?? ""}${"\n"}</span>`;
  })}</pre></div>`;
  return html`<div class="sides">${side(0, "As the client sent it")}${side(1, "As the upstream got it")}</div>`;
}
