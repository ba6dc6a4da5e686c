-- Acknowledges one entry of a stream (optional), and reads the next one (optional).
-- KEYS: lease, stream, stream for the answer. ARGV: value of the lease, group, consumer, position to read after
-- ('>': new entries; '': read nothing), id to acknowledge (or ''), answer (or ''), room, id of the question.
-- Returns {'lost'}, {'none'} or {'entry', id, deliveries, fields}.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'lost'}
end
local stream, group = KEYS[2], ARGV[2]
if redis.call('EXISTS', stream) == 0 then
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
elseif #redis.call('XINFO', 'GROUPS', stream) == 0 then
  redis.call('XGROUP', 'CREATE', stream, group, '0')
end
if ARGV[5] ~= '' then
  -- XACK returns 1 only once, so the answer is written once, even if the reply to an earlier call was lost.
  if redis.call('XACK', stream, group, ARGV[5]) == 1 and ARGV[6] ~= '' then
    redis.call('XADD', KEYS[3], '*', 'room', ARGV[7], 'id', ARGV[8], 'from', 'worker', 'message', ARGV[6])
  end
  redis.call('XDEL', stream, ARGV[5])
end
if ARGV[4] == '' then
  return {'none'}
end
local read = redis.call('XREADGROUP', 'GROUP', group, ARGV[3], 'COUNT', 1, 'STREAMS', stream, ARGV[4])
local entry = read and read[1] and read[1][2][1]
if not entry then
  return {'none'}
end
local pending = redis.call('XPENDING', stream, group, entry[1], entry[1], 1)
return {'entry', entry[1], pending[1] and pending[1][4] or 1, entry[2] or {}}
