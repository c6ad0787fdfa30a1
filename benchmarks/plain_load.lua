-- For wrk: posts the file named by BENCH_BODY and prints what was counted as one JSON line.
-- Answers with an error status are failures and no part of requests_per_s.

local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
file:close()

function done(summary, latency)
   local e = summary.errors
   io.write(string.format(
      'FIGURES {"requests_per_s":%.2f,"median_us":%d,"p99_us":%d,"failures":%d}\n',
      (summary.requests - e.status) / summary.duration * 1e6, latency:percentile(50), latency:percentile(99),
      e.connect + e.read + e.write + e.status + e.timeout))
end
