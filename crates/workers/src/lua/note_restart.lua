-- After a restart Redis may have lost acknowledgements. Notes the last entry that the stream had at the restart: up to
-- it, entries may have been answered already. KEYS: lease, stream, notes (a hash: 'run', 'last').
-- ARGV: value of the lease, run id of the server. Returns the id of that entry, or 'lost'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 'lost'
end
if redis.call('HGET', KEYS[3], 'run') ~= ARGV[2] then
  local last = '0-0'
  if redis.call('EXISTS', KEYS[2]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[2])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then
        last = info[i + 1]
      end
    end
  end
  redis.call('HSET', KEYS[3], 'run', ARGV[2], 'last', last)
end
return redis.call('HGET', KEYS[3], 'last')
