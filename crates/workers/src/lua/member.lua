-- Says that a process is there. KEYS: members. ARGV: its name, how long it counts, in ms ('0': it leaves).
-- Returns the names of all that are there, sorted.
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
