-- SPDX-License-Identifier: Apache-2.0
-- Add a session to the index of its user and decide whom the limit ends: a step of a cluster. Who is to be ended
-- is marked, so that a later write to the same user finds what was not carried out.
-- KEYS index
-- ARGV entry, now, px of the index, max, max of a class, policy, until when fences stand (5 bytes), id that leaves
--      or '', 'y' to write; else it is only looked whether the limit refuses
-- Gives {entries to be ended}, {entries that were trimmed}; -3 when the limit refuses, and nothing was written
local limit = {tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])}
local beyond, over = look(KEYS[1], ARGV[1], tonumber(ARGV[2]), limit, ARGV[8])
if not beyond then return -3 end
if ARGV[9] ~= 'y' then return {{}, {}} end
if ARGV[8] ~= '' then leave(KEYS[1], ARGV[8]) end
enter(KEYS[1], ARGV[1], tonumber(ARGV[3]), over)
for i, e in ipairs(beyond) do
  if e:byte(17) == LIVE then
    beyond[i] = e:sub(1, 16) .. 'x' .. ARGV[7]
    redis.call('ZREM', KEYS[1], e)
    redis.call('ZADD', KEYS[1], 0, beyond[i])
  end
end
return {beyond, over}
