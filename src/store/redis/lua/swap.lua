-- SPDX-License-Identifier: Apache-2.0
-- Write a value if the old one still begins as it did; '' removes it.
-- KEYS session
-- ARGV what it must begin with, new value, px
-- Gives 1; 0 when it was written in between, or is gone.
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
if #ARGV[2] <= redis.call('STRLEN', KEYS[1]) then redis.call('PERSIST', KEYS[1]) end -- takes no room
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
