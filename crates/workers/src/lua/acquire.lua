-- Takes a free lease and gives it the next fencing number.
-- KEYS: lease, fence. ARGV: owner, term in ms, whether to create a lease that Redis does not know ('yes' or 'no').
-- Returns {'taken', number, value}, {'held', ms left, value} or {'unknown'}.
local held = redis.call('GET', KEYS[1])
if held then
  return {'held', redis.call('PTTL', KEYS[1]), held}
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  if ARGV[3] ~= 'yes' then
    return {'unknown'}
  end
  -- The first number is the time in ms, so that the numbers still grow after Redis has lost its data.
  local now = redis.call('TIME')
  redis.call('SET', KEYS[2], string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)))
end
local fence = redis.call('INCR', KEYS[2])
local value = string.format('%.0f', fence) .. ':' .. ARGV[1]
redis.call('SET', KEYS[1], value, 'NX', 'PX', ARGV[2])
return {'taken', fence, value}
