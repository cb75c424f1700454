-- SPDX-License-Identifier: Apache-2.0
-- Add a session to the index of its user and decide whom the limit ends: a step of a cluster. Who is to be ended
-- is marked, so that a later write to the same user finds what was not carried out.
-- KEYS index
-- ARGV entry, now, px of the index, max, until when fences stand (5 bytes), id that leaves or ''
-- Gives {entries to be ended}, {entries that were trimmed}
if ARGV[6] ~= '' then leave(KEYS[1], ARGV[6]) end
local beyond, over = enter(KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
for i, e in ipairs(beyond) do
  if e:byte(17) == LIVE then
    beyond[i] = e:sub(1, 16) .. 'x' .. ARGV[5]
    redis.call('ZREM', KEYS[1], e)
    redis.call('ZADD', KEYS[1], 0, beyond[i])
  end
end
return {beyond, over}
