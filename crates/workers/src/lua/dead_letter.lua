-- Moves an entry to the dead letters. KEYS: lease, stream, dead letters.
-- ARGV: value of the lease, group, id, most dead letters, name of the stream, reason, deliveries. Returns 'lost' or 'ok'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 'lost'
end
local entry = redis.call('XRANGE', KEYS[2], ARGV[3], ARGV[3])[1]
if entry then
  local fields = entry[2]
  for _, field in ipairs({'stream', ARGV[5], 'reason', ARGV[6], 'deliveries', ARGV[7]}) do
    fields[#fields + 1] = field
  end
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', unpack(fields))
end
redis.call('XACK', KEYS[2], ARGV[2], ARGV[3])
redis.call('XDEL', KEYS[2], ARGV[3])
return 'ok'
