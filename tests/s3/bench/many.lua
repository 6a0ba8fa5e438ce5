-- Stores many empty objects for wrk, each under a key of its own. Arguments: PREFIX
-- The keys of a thread stand one behind the other; the bucket lets anybody write.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  prefix = arguments[1]
  at = 0
end

function request()
  at = at + 1
  return wrk.format("PUT", string.format("%s%d/%09d", prefix, number, at), { ["Content-Length"] = 0 }, "")
end

function done(summary)
  io.stderr:write(string.format('{"requests": %d, "refused": %d}\n', summary.requests, summary.errors.status))
end
