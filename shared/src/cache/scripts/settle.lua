-- Ids are compared as two 32-bit numbers, because a double holds 53 bits, and Lua's comparison of strings follows the
-- server's locale.
local function id(raw)
  local hi, lo = struct.unpack('>I4I4', raw)
  return {hi, lo, raw}
end

local function newer(a, b)
  if a[1] ~= b[1] then return a[1] > b[1] end
  return a[2] > b[2]
end

-- Makes a list of posts what it means: everything else, once, then the newest `cap` distinct ids above the floor, oldest
-- first.
local function settle(key, cap, millis, placeholder)
  local seen, ids, first, others, floor = {}, {}, 1, {}, nil
  for _, raw in ipairs(redis.call('LRANGE', key, 0, -1)) do
    if not seen[raw] then
      seen[raw] = true
      local kind = string.byte(raw)
      if #raw == 8 then
        ids[#ids + 1] = id(raw)
      elseif kind == 64 then -- '@'
        others[#others + 1] = raw
      elseif kind == 45 then -- '-'
        local at = id(string.sub(raw, 2))
        if not floor or newer(at, floor) then floor = at end
      end
    end
  end
  table.sort(ids, function(a, b) return newer(b, a) end)
  while floor and ids[first] and not newer(ids[first], floor) do first = first + 1 end
  if #ids - first >= cap then floor = ids[#ids - cap] first = #ids - cap + 1 end
  local kept = {placeholder}
  if floor then kept[#kept + 1] = '-' .. floor[3] elseif not placeholder then kept[1] = '.' end
  for _, other in ipairs(others) do kept[#kept + 1] = other end
  for at = first, #ids do kept[#kept + 1] = ids[at][3] end
  redis.call('DEL', key)
  redis.call('RPUSH', key, unpack(kept))
  redis.call('PEXPIRE', key, millis)
end
