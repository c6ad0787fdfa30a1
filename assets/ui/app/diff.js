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
  const cell = (nth, kind, text) => {
    const mark = text === undefined ? "gap" : kind === "same" ? (nth ? "" : "twice") : nth ? "added" : "removed";
    return html`<span class=${`line ${mark}`} role="cell">${text ?? ""}</span>`;
  };
  return html`<div class="sides" role="table" aria-label="The body before and after">
    <div role="row"><h3 role="columnheader">As the client sent it</h3><h3 role="columnheader">As the upstream got it</h3></div>
    ${lines.map(([kind, left, right], at) => html`<div role="row" key=${at}>${cell(0, kind, left)}${cell(1, kind, right)}</div>`)}</div>`;
}
