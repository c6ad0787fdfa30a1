// The rows of the table, kept true by the program's events.
import { ROOT, get, useEffect, useRef, useState } from "./core.js";

export const MAX_ROWS = 10_000;
const PAUSE_MS = 60; // events that come together are drawn together

// The newest first. The list is changed in place: a page that is open all day must not copy it at each event.
export function put(list, row) {
  const at = list.findIndex((each) => each.id === row.id || each.started < row.started);
  if (at >= 0 && list[at].id === row.id) list[at] = row;
  else {
    const old = at < 0 ? -1 : list.findIndex((each, place) => place > at && each.id === row.id);
    if (old >= 0) list.splice(old, 1);
    list.splice(at < 0 ? list.length : at, 0, row);
    if (list.length > MAX_ROWS) list.length = MAX_ROWS;
  }
}

export function useRows(filter) {
  const [state, setState] = useState({ rows: [], capture: null, trouble: "", isLoading: true, isLive: false });
  const known = useRef([]);
  const capture = useRef(null);
  const loads = useRef(0);
  const timer = useRef(0);

  const draw = (more = {}) => setState((old) => ({ ...old, ...more, capture: capture.current, rows: known.current }));
  const drawSoon = () => { timer.current ||= setTimeout(() => { timer.current = 0; draw(); }, PAUSE_MS); };

  const load = async () => {
    const mine = ++loads.current;
    try {
      const found = await get("requests", { q: filter, limit: MAX_ROWS });
      if (mine !== loads.current) return;
      known.current = found.requests;
      capture.current = found.capture;
      draw({ trouble: "", isLoading: false });
    } catch (error) {
      if (mine === loads.current) setState((old) => ({ ...old, trouble: error.message, isLoading: false }));
    }
  };

  useEffect(() => { load(); }, [filter]);
  useEffect(() => {
    const events = new EventSource(`${ROOT}/api/events`);
    let again = 0;
    const changed = (event) => {
      const row = JSON.parse(event.data);
      if (filter) { // the program knows which rows fit
        again ||= setTimeout(() => { again = 0; load(); }, 150);
        return;
      }
      put(known.current, row);
      drawSoon();
    };
    for (const name of ["begun", "answered", "ended"]) events.addEventListener(name, changed);
    events.addEventListener("progress", (event) => {
      for (const moved of JSON.parse(event.data)) {
        const at = known.current.findIndex((each) => each.id === moved.id);
        if (at >= 0) known.current[at] = { ...known.current[at], ...moved };
      }
      drawSoon();
    });
    events.addEventListener("capture", (event) => { capture.current = JSON.parse(event.data); drawSoon(); });
    events.addEventListener("lost", load);
    let wasOpen = false;
    events.onopen = () => { if (wasOpen) load(); wasOpen = true; setState((old) => ({ ...old, isLive: true })); };
    events.onerror = () => setState((old) => ({ ...old, isLive: false }));
    return () => { events.close(); clearTimeout(again); clearTimeout(timer.current); timer.current = 0; };
  }, [filter]);
  return state;
}
