-- Admits a call of a user. Returns the milliseconds until there is a token, 0 if one was taken; then the caller's stamp in
-- microseconds, later than the last one, if one is asked for; and whether the caller follows as many users as anybody may.
--
-- A bucket that has filled up again goes away.
--
-- KEYS: the bucket, the caller's last stamp, what stands while the caller follows as many as anybody may
-- ARGV: tokens a minute, 0 for no limit; the bucket's size; the seconds that a stamp is kept, 0 for no stamp
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
if ARGV[1] ~= '0' then
  local now = math.floor(micros / 1000)
  local rate, size = ARGV[1] / 60000, tonumber(ARGV[2])
  local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
  local tokens = tonumber(bucket[1]) or size
  local passed = math.max(0, now - (tonumber(bucket[2]) or now))
  tokens = math.min(size, tokens + passed * rate)
  if tokens < 1 then return {math.ceil((1 - tokens) / rate), 0, 0} end
  redis.call('HSET', KEYS[1], 'tokens', tokens - 1, 'at', now)
  redis.call('PEXPIRE', KEYS[1], math.ceil((size - tokens + 1) / rate))
end
if ARGV[3] == '0' then return {0, 0, 0} end
local stamp = math.max(micros, (tonumber(redis.call('GET', KEYS[2])) or 0) + 1)
redis.call('SET', KEYS[2], string.format('%.0f', stamp), 'EX', ARGV[3])
return {0, stamp, redis.call('EXISTS', KEYS[3])}
