// The rows of the table, kept true by the program's events.
import { ROOT, get, useEffect, useRef, useState } from "./core.js";

export const MAX_ROWS = 10_000;
const PAUSE_MS = 60; // events that come together are drawn together

export function useRows(filter) {
  const [state, setState] = useState({ rows: [], capture: null, trouble: "", isLoading: true, isLive: false });
  const known = useRef(new Map());
  const capture = useRef(null);
  const loads = useRef(0);
  const timer = useRef(0);

  const draw = (more = {}) => setState((old) => ({
    ...old, ...more, capture: capture.current,
    rows: [...known.current.values()].sort((one, other) => other.started - one.started).slice(0, MAX_ROWS),
  }));
  const drawSoon = () => { timer.current ||= setTimeout(() => { timer.current = 0; draw(); }, PAUSE_MS); };

  const load = async () => {
    const mine = ++loads.current;
    try {
      const found = await get("requests", { q: filter, limit: MAX_ROWS });
      if (mine !== loads.current) return;
      known.current = new Map(found.requests.map((row) => [row.id, row]));
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
      known.current.set(row.id, row);
      drawSoon();
    };
    for (const name of ["begun", "answered", "ended"]) events.addEventListener(name, changed);
    events.addEventListener("progress", (event) => {
      for (const moved of JSON.parse(event.data)) {
        const row = known.current.get(moved.id);
        if (row) known.current.set(moved.id, { ...row, ...moved });
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
