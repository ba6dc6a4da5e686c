-- Puts a dead letter back into the stream that it came from. KEYS: dead letters, stream. ARGV: id.
-- Returns 0 if there is no such dead letter.
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then
  return 0
end
local field = {}
for i = 1, #entry[2], 2 do
  field[entry[2][i]] = entry[2][i + 1]
end
redis.call('XADD', KEYS[2], '*', 'room', field.room or '', 'id', field.id or '', 'from', 'replay', 'message', field.message or '')
return redis.call('XDEL', KEYS[1], ARGV[1])
