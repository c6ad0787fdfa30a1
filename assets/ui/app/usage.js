// The page of usage: what was asked, what it used and what it cost.
import uPlot from "./vendor/uplot.js";
import { Empty, NONE, ROOT, Trouble, cents, compact, get, html, money, number, percent, seconds, show, useEffect, useLayoutEffect, useRef, useState } from "./core.js";

const DAYS = [[1, "Today"], [7, "7 days"], [30, "30 days"], [365, "365 days"]];
const GROUPS = [["model", "Models"], ["client", "Clients"], ["upstream", "Upstreams"], ["key", "Keys"]];
const ENDINGS = {
  whole: ["whole", "good"], repaired: ["repaired", "repaired"], cut: ["cut by the upstream", "bad"], timed_out: ["timed out", "bad"], invalid: ["invalid answer", "bad"],
  unreachable: ["unreachable", "bad"], refused_by_proxy: ["refused by the proxy", "refused"], refused_by_upstream: ["refused by the upstream", "refused"],
  cancelled: ["cancelled", "soft"], stopped: ["stopped with the proxy", "soft"], failed: ["failed in the proxy", "bad"],
};
const tokensOf = (row) => (row.input_tokens == null && row.output_tokens == null ? null : (row.input_tokens || 0) + (row.output_tokens || 0));
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const startOf = (group) => new Date(group.length > 10 ? group.replace(" ", "T") : `${group}T00:00`).getTime() / 1000;

function complete(groups, since, until, step) { // a time without a request is a zero, not a gap
  const known = new Map(groups.map((row) => [startOf(row.group), row]));
  const times = [];
  const at = new Date(since * 1000);
  if (step === "hour") at.setMinutes(0, 0, 0); else at.setHours(0, 0, 0, 0);
  while (at.getTime() / 1000 <= until) {
    times.push(at.getTime() / 1000);
    if (step === "hour") at.setHours(at.getHours() + 1); else at.setDate(at.getDate() + 1);
  }
  return [times, times.map((time) => known.get(time))];
}

function Plot({ title, times, series, format, axisFormat = format, step }) {
  const box = useRef(null);
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const turn = () => setTheme((nth) => nth + 1);
    query.addEventListener("change", turn);
    return () => query.removeEventListener("change", turn);
  }, []);
  useLayoutEffect(() => {
    const axis = { stroke: color("--soft"), font: "12px system-ui, sans-serif", grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
    const bars = uPlot.paths.bars({ size: [0.7, 40], radius: 0.12 });
    // Stacked: the first series is drawn at the height of all, the others over it.
    const heights = times.map(() => 0);
    const stacked = [...series].reverse().map(({ values }) => values.map((value, at) => (heights[at] += value || 0))).reverse();
    const half = (step === "hour" ? 3600 : 86_400) / 2;
    const plot = new uPlot({
      width: box.current.clientWidth, height: 200, legend: { show: false }, cursor: { drag: { x: false, y: false }, points: { show: false } }, padding: [12, 8, 0, 0],
      scales: { x: { range: () => [times[0] - half, times.at(-1) + half] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, grid: { show: false }, space: 60, size: 28, values: (_, splits) => splits.map((at) => (step === "hour" ? new Date(at * 1000).toLocaleTimeString(undefined, { hour: "numeric" }) : new Date(at * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short" }))) },
        { ...axis, size: 66, values: (_, splits) => splits.map((value) => axisFormat(value)) },
      ],
      series: [{}, ...series.map(({ name, ink }) => ({ label: name, fill: color(ink), stroke: color(ink), width: 0, paths: bars, points: { show: false } }))],
    }, [times, ...stacked], box.current);
    const watcher = new ResizeObserver(() => box.current && plot.setSize({ width: box.current.clientWidth, height: 200 }));
    watcher.observe(box.current);
    return () => { watcher.disconnect(); plot.destroy(); };
  }, [times, series, theme]);
  const sum = ({ values, isKnown = true }) => (isKnown ? values.reduce((total, value) => total + (value || 0), 0) : null);
  return html`<section class="plot"><h2>${title}</h2>
    <p class="legend">${series.map((each) => html`<span key=${each.name}><i class=${`ink${each.ink}`}></i><bdi>${each.name}</bdi> <b>${format(sum(each))}</b></span>`)}</p>
    <div ref=${box} role="img" aria-label=${`${title}: ${series.map((each) => `${each.name} ${format(sum(each))}`).join(", ")}`}></div></section>`;
}

const INKS = ["--c1", "--c2", "--c3", "--c4", "--c5"];
const SPLITS = [["kind", "Kind"], ["model", "Model"], ["client", "Client"], ["upstream", "Upstream"], ["key", "Key"]];

function largestOf(rows) { // the groups by their tokens: in this order they have their colours, in each plot the same
  const sums = new Map();
  for (const row of rows) sums.set(row.group, (sums.get(row.group) || 0) + (tokensOf(row) || 0));
  return [...sums].filter(([, sum]) => sum > 0).sort((one, other) => other[1] - one[1]).map(([group]) => group);
}

function split(rows, times, read) { // days of groups as stacked series: the largest five, and the rest
  const largest = largestOf(rows);
  const named = largest.slice(0, INKS.length), place = new Map(times.map((time, at) => [time, at]));
  const series = named.map((group, nth) => ({ id: group, isKnown: false, name: group ?? "not known", ink: INKS[nth], values: times.map(() => 0) }));
  if (largest.length > named.length) series.push({ id: NONE, isKnown: false, name: `${number(largest.length - named.length)} others`, ink: "--c6", values: times.map(() => 0) });
  for (const row of rows) {
    const at = place.get(startOf(row.day));
    const one = series.find((each) => each.id === row.group) || series.find((each) => each.id === NONE);
    if (at === undefined || !one) continue;
    one.values[at] += read(row) || 0;
    one.isKnown ||= read(row) != null;
  }
  return series.reverse(); // the largest at the bottom
}

function Limits({ limits }) {
  if (!limits.length) return null;
  return html`<section class="limits"><h2>Limits</h2><ul class="lines">${limits.map((each, at) => { const words = each.unit === "usd" ? cents : compact; const share = Math.min(1, each.used / (each.limit || 1));
    return html`<li key=${at} class="limit"><span>${each.key ? html`Key <bdi>${each.key}</bdi>` : "All requests"}, ${each.period === "day" ? "a day" : each.period === "month" ? "a month" : each.period}</span>
      <span class="num">${words(each.used)} of ${words(each.limit)}</span><span class=${`meter ${share >= 1 ? "full" : share >= 0.8 ? "near" : ""}`} role="img" aria-label=${`${percent(share)} used`}><span style=${{ width: `${100 * share}%` }}></span></span>
      ${each.sentence && html`<span class="soft small-print">${each.sentence}${each.is_hard ? " Then requests are refused." : ""}</span>`}</li>`; })}</ul></section>`;
}

const FAULTS = [["cut", "Cut"], ["no_done", "No [DONE]"], ["error_inside", "Error inside"], ["silent", "Silent"], ["repaired", "Repaired"]];

function Quality({ quality }) {
  if (!quality.outcomes.length) return null;
  const speeds = new Map(quality.speeds.map((row) => [`${row.upstream}\n${row.model}`, row]));
  const share = (value) => html`<td class=${`num ${value > 0 ? "some" : "soft"}`}>${value > 0 ? percent(value, value < 0.1 ? 1 : 0) : NONE}</td>`;
  return html`<section class="quality"><h2>How upstreams did</h2><p class="soft small-print">First byte and speed are of whole answers: p50 is the median, and nine of ten were as fast as p90. Faults are shares of all answers.</p>
    <div class="wide-table" tabindex="0" role="region" aria-label="How upstreams did"><table class="plain"><thead><tr><th>Model and upstream</th><th class="num">Requests</th><th class="num">First byte, p50</th><th class="num">First byte, p90</th><th class="num">Tokens/s, p50</th>${FAULTS.map(([name, words]) => html`<th key=${name} class="num">${words}</th>`)}</tr></thead>
    <tbody>${quality.outcomes.slice(0, 20).map((row) => { const speed = speeds.get(`${row.upstream}\n${row.model}`); return html`<tr key=${`${row.upstream}\n${row.model}`}><td><bdi class="name">${row.model}</bdi><small class="soft"><bdi>${row.upstream}</bdi></small></td><td class="num">${number(row.requests)}</td>
      <td class="num">${seconds(speed?.first_byte_s?.p50)}</td><td class="num">${seconds(speed?.first_byte_s?.p90)}</td><td class="num">${speed?.tokens_per_s ? number(Math.round(speed.tokens_per_s.p50)) : NONE}</td>${FAULTS.map(([name]) => share(row.shares[name]))}</tr>`; })}</tbody></table></div></section>`;
}

function Tiles({ total }) {
  const cached = total.input_tokens ? `${percent((total.cached_tokens || 0) / total.input_tokens)} from cache` : "";
  const tiles = [
    ["Cost", cents(total.cost_usd), [total.lost_usd > 0 ? `${cents(total.lost_usd)} for missed caches` : "", total.unpriced ? `${number(total.unpriced)} without a known price` : ""].filter(Boolean).join(" · ")],
    ["Tokens in", compact(total.input_tokens), cached],
    ["Tokens out", compact(total.output_tokens), total.reasoning_tokens ? `${compact(total.reasoning_tokens)} of them reasoning` : ""],
    ["Requests", number(total.requests), total.estimated ? `${number(total.estimated)} estimated` : ""],
  ];
  return html`<div class="tiles">${tiles.map(([name, value, more]) => html`<section class="tile" key=${name}><h2>${name}</h2><p class="big">${value}</p><p class="soft">${more}</p></section>`)}</div>`;
}

function Groups({ title, rows }) {
  const most = Math.max(...rows.map((row) => row.cost_usd || 0), 0);
  const mostTokens = Math.max(...rows.map((row) => tokensOf(row) || 0), 1);
  return html`<section><h2>${title}</h2><table class="plain"><thead><tr><th>${title.slice(0, -1)}</th><th class="num">Requests</th><th class="num">Tokens</th><th class="num">Cost</th></tr></thead>
    <tbody>${rows.slice(0, 12).map((row) => html`<tr key=${row.group}><td><bdi class="name">${row.group ?? "not known"}</bdi>
      <span class="meter" aria-hidden="true"><span style=${{ width: `${most ? (100 * (row.cost_usd || 0)) / most : (100 * (tokensOf(row) || 0)) / mostTokens}%` }}></span></span></td>
      <td class="num">${number(row.requests)}</td><td class="num">${compact(tokensOf(row))}</td><td class="num">${money(row.cost_usd)}</td></tr>`)}</tbody></table>
    ${rows.length > 12 && html`<p class="soft">and ${number(rows.length - 12)} more; the CSV holds all.</p>`}</section>`;
}

function Outcomes({ rows }) {
  const all = rows.reduce((sum, row) => sum + row.requests, 0) || 1;
  return html`<section><h2>How requests ended</h2><table class="plain"><thead><tr><th>Outcome</th><th class="num">Requests</th><th class="num">Share</th></tr></thead>
    <tbody>${rows.map((row) => { const [words, kind] = ENDINGS[row.group] || [row.group, "soft"]; return html`<tr key=${row.group}>
      <td><span class=${`outcome ${kind}`}><i></i><span>${words}</span></span></td><td class="num">${number(row.requests)}</td><td class="num">${percent(row.requests / all, 1)}</td></tr>`; })}</tbody></table></section>`;
}

function drawn(found, step, days, by) {
  const [times, rows] = complete(found.groups, found.since, found.until, step);
  const of = (read) => rows.map((row) => (row ? read(row) : 0));
  if (days) return { times, step, cost: split(days, times, (row) => row.cost_usd), tokens: split(days, times, tokensOf), by };
  return {
    times, step, by: "kind",
    cost: [{ name: "Cost", ink: "--c1", values: of((row) => row.cost_usd || 0) }],
    tokens: [
      { name: "Out", ink: "--c3", values: of((row) => row.output_tokens || 0) },
      { name: "In", ink: "--c1", values: of((row) => Math.max(0, (row.input_tokens || 0) - (row.cached_tokens || 0))) },
      { name: "In, from cache", ink: "--c2", values: of((row) => row.cached_tokens || 0) },
    ],
  };
}

const inAddress = (name) => new URLSearchParams(location.search).get(name);

function Page() {
  const [days, setDays] = useState(Number(inAddress("days")) || 30);
  const [by, setBy] = useState(SPLITS.some(([name]) => name === inAddress("by")) ? inAddress("by") : "kind");
  const [found, setFound] = useState(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    let isGone = false;
    history.replaceState(null, "", `${ROOT}/usage?days=${days}${by === "kind" ? "" : `&by=${by}`}`);
    const step = days === 1 ? "hour" : "day";
    const load = async () => {
      try {
        const times = await get("usage", { days, by: step });
        const [outcomes, divided, quality, limits, ...groups] = await Promise.all([
          get("usage", { days, by: "outcome" }), by !== "kind" && step === "day" ? get("usage", { days, by, per: "day" }) : null,
          get("usage/quality", { days }), get("limits"), ...GROUPS.map(([name]) => get("usage", { days, by: name })),
        ]);
        if (isGone) return;
        const plots = drawn(times, step, divided?.groups, by);
        setFound({ total: times.total, plots, quality, limits: limits.limits, outcomes: outcomes.groups, groups: groups.map((each) => each.groups) });
        setTrouble("");
      } catch (error) { if (!isGone) setTrouble(error.message); }
    };
    load();
    const timer = setInterval(() => document.hidden || load(), 30_000);
    return () => { isGone = true; clearInterval(timer); };
  }, [days, by]);
  return html`<div class="page-head"><h1>Usage</h1>
      ${found && days > 1 && html`<label class="inline">Plots by <select value=${by} onChange=${(event) => setBy(event.target.value)}>${SPLITS.map(([name, words]) => html`<option key=${name} value=${name}>${words}</option>`)}</select></label>`}
      <div class="segments" role="group" aria-label="Time">${DAYS.map(([count, name]) => html`<button key=${count} aria-pressed=${days === count ? "true" : "false"} onClick=${() => setDays(count)}>${name}</button>`)}</div>
      <a class="button" href=${`${ROOT}/api/usage.csv?days=${days}`} download>Download CSV</a></div>
    <${Trouble} words=${trouble} />
    ${found && !found.total.requests && html`<${Empty} title="Nothing was asked in this time"><p>Every finished request is counted here with its tokens and its cost, never with its words.</p>
      <p><a href=${`${ROOT}/connect`}>Connect a tool</a> to <code>${location.origin}/v1</code>, send a test request from the <a href=${`${ROOT}/`}>first page</a>, or look at a longer time.</p><//>`}
    ${found && html`<${Limits} limits=${found.limits} />`}
    ${found && found.total.requests > 0 && html`<${Tiles} total=${found.total} />
      <div class="cards"><${Plot} title="Cost" times=${found.plots.times} series=${found.plots.cost} step=${found.plots.step} format=${cents} axisFormat=${cents} />
        <${Plot} title="Tokens" times=${found.plots.times} series=${found.plots.tokens} step=${found.plots.step} format=${compact} /></div>
      <${Quality} quality=${found.quality} />
      <div class="cards">${GROUPS.map(([by_, title], nth) => html`<${Groups} key=${by_} title=${title} rows=${found.groups[nth]} />`)}<${Outcomes} rows=${found.outcomes} /></div>
      <p class="soft small-print">Costs are what the price table and your own prices say, not the bill. ${NONE} is unknown, never free. Change prices under <a href=${`${ROOT}/settings?q=prices`}>Settings</a>.</p>`}`;
}

show(html`<${Page} />`);
