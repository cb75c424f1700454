-- SPDX-License-Identifier: Apache-2.0
-- End a chain of sessions, on a server that has all keys.
-- KEYS stream, counter, then of each: session, index or ''
-- ARGV stamp, fence, px, then of each: id, 'y' when it was seen to be there
-- Gives 0; -2 when one is there that was not: its user, and what it replaced, are to be looked up first.
local n = (#KEYS - 2) / 2
for i = 1, n do
  if ARGV[3 + 2 * i] ~= 'y' then
    local first = redis.call('GETRANGE', KEYS[1 + 2 * i], 0, 0)
    if first ~= '\0' and redis.call('EXISTS', KEYS[1 + 2 * i]) == 1 then return -2 end
  end
end
for i = 1, n do
  local key, index, id = KEYS[1 + 2 * i], KEYS[2 + 2 * i], ARGV[2 + 2 * i]
  local was = redis.call('GETRANGE', key, 0, 0)
  put_fence(key, ARGV[2], ARGV[3])
  if was ~= '\0' then
    if index ~= '' then leave(index, id) end
    append(KEYS[1], KEYS[2], ARGV[1], 's', id)
  end
end
return 0
