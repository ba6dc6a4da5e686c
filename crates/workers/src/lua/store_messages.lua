-- Writes questions to the streams of their rooms' shards, each once, and moves the rooms' watermarks forward.
-- KEYS: lease, then for each message: stream, room, seen.
-- ARGV: value of the lease, fencing number, overlap in ms, most entries of a stream, 'live' or 'history', then for each
-- message: room, id, time in ms (-1: unknown), JSON (empty: not a question, so only the watermark moves).
-- Returns the result for each message, in order. Stops early at 'lost', 'full' and 'unknown' (room).
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'lost'}
end
local overlap, most, history = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == 'history'
local results = {}
for i = 0, (#KEYS - 1) / 3 - 1 do
  local stream, room, seen = KEYS[3 * i + 2], KEYS[3 * i + 3], KEYS[3 * i + 4]
  local name, id, ms, json = ARGV[4 * i + 6], ARGV[4 * i + 7], tonumber(ARGV[4 * i + 8]), ARGV[4 * i + 9]
  local state = redis.call('HMGET', room, 'mark', 'origin', 'first')
  local mark, origin = tonumber(state[1]), tonumber(state[2])
  if not mark then
    results[#results + 1] = 'unknown'
    return results
  end
  if ms < 0 then
    ms = mark
  end
  local result
  if redis.call('ZSCORE', seen, id) then
    result = 'known'
  elseif history and (ms < mark - overlap or ms < origin or (ms == origin and string.find(state[3], id, 1, true))) then
    result = 'old'
  elseif json == '' then
    result = 'passed'
  elseif redis.call('XLEN', stream) >= most then
    results[#results + 1] = 'full'
    return results
  else
    redis.call('XADD', stream, '*', 'room', name, 'id', id, 'from', ARGV[5], 'fence', ARGV[2], 'message', json)
    redis.call('ZADD', seen, string.format('%.0f', ms), id)
    result = 'taken'
  end
  -- If a clock of the platform was set back, the watermark moves back, too.
  if ms > mark or (not history and ms < mark - overlap) then
    redis.call('HSET', room, 'mark', string.format('%.0f', ms))
    redis.call('ZREMRANGEBYSCORE', seen, '-inf', '(' .. string.format('%.0f', ms - overlap))
  end
  results[#results + 1] = result
end
return results
