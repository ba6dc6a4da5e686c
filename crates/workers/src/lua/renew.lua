-- Renews the term, if the caller owns the lease.
-- KEYS: lease, fence. ARGV: value, term in ms, fencing number.
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if held then
  return 0
end
-- The lease is missing. The owner calls this within its own term, so Redis has lost data or its clock has jumped.
-- If no higher number was given out, no other process has had the lease since.
local fence = redis.call('GET', KEYS[2])
if (not fence) or fence == ARGV[3] then
  redis.call('SET', KEYS[2], ARGV[3])
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
