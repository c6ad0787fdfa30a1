// What table and detail both show of a request.
import { html } from "./core.js";

const KINDS = {
  running: "running", whole: "good", repaired: "repaired", cancelled: "soft", stopped: "soft",
  refused_by_proxy: "refused", refused_by_upstream: "refused",
};
export const kindOf = (row) => (row.outcome === "whole" && row.fell_back ? "repaired" : KINDS[row.outcome] || "bad");

const SHORT = { cut: "cut", refused_by_upstream: "refused", refused_by_proxy: "refused by proxy", unreachable: "unreachable", cancelled: "cancelled", stopped: "stopped", failed: "failed" };

export function Outcome({ row, isShort }) {
  const ending = isShort ? SHORT[row.outcome] || row.outcome_words : row.outcome_words;
  const words = row.fell_back && row.outcome !== "running" ? `fell back, ${ending}` : ending;
  return html`<span class=${`outcome ${kindOf(row)}`} title=${row.outcome_words}><i aria-hidden="true"></i><span>${words}</span></span>`;
}

export function Model({ row }) {
  const asked = row.model_asked || row.model_sent;
  if (!asked) return html`<span class="soft">${row.endpoint}</span>`;
  const other = row.model_sent && row.model_sent !== asked;
  return html`<bdi>${asked}</bdi>${other && html` <span class="soft">→ <bdi>${row.model_sent}</bdi></span>`}`;
}
