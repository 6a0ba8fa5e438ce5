-- Requests for wrk. Arguments: METHOD LIST [SIZE]
-- LIST has one address (path and query) a line; each thread begins at another one. With SIZE every
-- request has a body of its own, so that no server can keep equal bytes once.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  method = arguments[1]
  list = {}
  for line in io.lines(arguments[2]) do
    list[#list + 1] = line
  end
  size = tonumber(arguments[3])
  at = number * 7919
  seed = os.time() * 64 + number
  if size and size > 32 then
    math.randomseed(seed)
    local bytes = {}
    for i = 1, size - 32 do
      bytes[i] = string.char(math.random(0, 255))
    end
    tail = table.concat(bytes)
  end
end

function request()
  at = at + 1
  local path = list[at % #list + 1]
  if not size then
    return wrk.format(method, path)
  end
  local body = tail and string.format("%016x%016x", seed, at) .. tail or ""
  return wrk.format(method, path, { ["Content-Length"] = size }, body)
end

function done(summary, latency)
  local refused = summary.errors.status
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.stderr:write(string.format(
    '{"requests": %d, "bytes": %d, "seconds": %f, "refused": %d, "broken": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, refused, broken,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
