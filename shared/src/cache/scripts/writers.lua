-- The writers of a key: `held:` and the key is a hash of their tokens, each with its deadline in milliseconds by the
-- server's clock.

local function now()
  local time = redis.call('TIME')
  return 1000 * tonumber(time[1]) + math.floor(tonumber(time[2]) / 1000)
end

local function writers(held)
  local found, entries = {}, redis.call('HGETALL', held)
  for i = 1, #entries, 2 do found[entries[i]] = tonumber(entries[i + 1]) end
  return found
end

-- Whether this is the token of a writer that hides the old value until it is done.
local function hides(token)
  return string.sub(token, 1, 1) == '!'
end

-- Sets a value that may be trusted until the first deadline of a writer, and none while there is a writer that hides it.
--
-- A writer that dies neither puts nor forgets a value, which therefore goes by itself at the writer's deadline; one whose
-- deadline has passed meanwhile leaves nothing to be trusted.
local function keep(key, held, value, seconds)
  local millis = 1000 * tonumber(seconds)
  if held then
    local now = now()
    for token, deadline in pairs(writers(held)) do
      if hides(token) then millis = 0 end
      millis = math.min(millis, deadline - now)
    end
  end
  if millis <= 0 then redis.call('DEL', key) return 0 end
  redis.call('SET', key, value, 'PX', millis)
  return 1
end
