// Completion of the words in the filter box; the program itself reads the filter.
const NAMES = ["status:", "model:", "client:", "upstream:", "key:", "endpoint:", "tokens>", "cost>", "duration>", "first_byte>", "text:", "error:"];
const FIELDS = { model: ["model_asked", "model_sent"], client: ["client"], upstream: ["upstream"], key: ["key"], endpoint: ["endpoint"] };
const ENDINGS = ["running", "whole", "repaired", "cut", "cancelled", "refused", "timed out", "unreachable", "200", "400", "401", "429", "500"];

const quoted = (value) => (/[\s"]/.test(value) ? `"${value.replace(/["\\]/g, "\\$&")}"` : value);

export function completions(written, rows) {
  const last = written.slice(written.lastIndexOf(" ") + 1);
  const [, minus, name, start] = last.match(/^(-?)(?:([a-z_]+):)?(.*)$/s);
  const before = written.slice(0, written.length - last.length);
  if (name === undefined) {
    return NAMES.filter((each) => start && each.startsWith(start) && each !== start).map((each) => before + minus + each);
  }
  const values = name === "status" ? ENDINGS : [...new Set(rows.flatMap((row) => (FIELDS[name] || []).map((field) => row[field])))];
  return values.filter((value) => value && value.toLowerCase().startsWith(start.toLowerCase()) && value !== start)
    .slice(0, 8).map((value) => `${before}${minus}${name}:${quoted(value)}`);
}
