-- SPDX-License-Identifier: Apache-2.0
-- Create a session, on a server that has all keys.
-- KEYS session, stream, counter [, index]
-- ARGV record, px, stamp [, what session keys begin with, now, entry, px of the index, max, fence, px of it]
-- Gives how many sessions the limit ended; -1 when there is something under that key.
if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return -1 end
if not KEYS[4] then return 0 end
local beyond, over = enter(KEYS[4], ARGV[6], tonumber(ARGV[5]), tonumber(ARGV[7]), tonumber(ARGV[8]))
return carry_out(KEYS[4], beyond, over, ARGV[4], ARGV[9], ARGV[10], KEYS[2], KEYS[3], ARGV[3])
