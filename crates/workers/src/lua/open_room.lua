-- Adds a room that Redis does not know yet. KEYS: lease, room, origins.
-- ARGV: value of the lease, watermark, origin, ids of the messages sent at the origin, room.
-- Returns the room's watermark, or 'lost'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 'lost'
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('HSET', KEYS[2], 'mark', ARGV[2], 'origin', ARGV[3], 'first', ARGV[4])
  redis.call('HSET', KEYS[3], ARGV[5], ARGV[3])
end
return redis.call('HGET', KEYS[2], 'mark')
