-- Adds one to the delivery count of a pending entry. KEYS: lease, stream. ARGV: value of the lease, group, consumer, id.
-- Returns the number of deliveries; 0 if the entry does not exist, -1 if the lease is lost.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
redis.call('XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, ARGV[4])
local pending = redis.call('XPENDING', KEYS[2], ARGV[2], ARGV[4], ARGV[4], 1)
return pending[1] and pending[1][4] or 0
