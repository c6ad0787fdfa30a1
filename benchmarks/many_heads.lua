-- For wrk: as plain_load.lua, but each request has one of 1,000 heads in turn, and the requests are counted.

local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
local body = file:read("*a")
file:close()
local requests, next_one = {}, 0

function init(args)
   local headers = {["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")}
   for number = 1, 1000 do
      headers["X-Trace"] = string.format("%08d-%s", number, string.rep("t", number % 200))
      requests[number] = wrk.format("POST", nil, headers, body)
   end
end

function request()
   next_one = next_one % 1000 + 1
   return requests[next_one]
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format('FIGURES {"requests":%d,"failures":%d}\n',
      summary.requests - e.status, e.connect + e.read + e.write + e.status + e.timeout))
end
