-- SPDX-License-Identifier: Apache-2.0
-- Create a session in the place of another, on a server that has all keys.
-- KEYS session, stream, counter, old session, index or '', index of the old session or ''
-- ARGV record, px, stamp, what session keys begin with, now, entry, px of the index, max, fence, px of it,
--      what the old session must begin with, its new value, px of that, its id
-- Gives as create.lua; -2 when the old session is not what it was.
if redis.call('GETRANGE', KEYS[4], 0, #ARGV[11] - 1) ~= ARGV[11] then return -2 end
if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return -1 end
redis.call('SET', KEYS[4], ARGV[12], 'PX', ARGV[13])
append(KEYS[2], KEYS[3], ARGV[3], 's', ARGV[14])
if KEYS[6] ~= '' then leave(KEYS[6], ARGV[14]) end
if KEYS[5] == '' then return 0 end
local beyond, over = enter(KEYS[5], ARGV[6], tonumber(ARGV[5]), tonumber(ARGV[7]), tonumber(ARGV[8]))
return carry_out(KEYS[5], beyond, over, ARGV[4], ARGV[9], ARGV[10], KEYS[2], KEYS[3], ARGV[3])
