-- Registers a process. KEYS: members. ARGV: its name, for how long, in ms ('0': removes the process).
-- Returns the names of all registered processes, sorted.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local names = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(names)
return names
