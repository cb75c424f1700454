-- SPDX-License-Identifier: Apache-2.0
-- Put in front of each script. What lies under which key: docs/stores/redis.md.
--
-- Redis refuses a script only at its first write: no room, no primary, too few replicas. So a script does all or
-- nothing as long as its first write is one that can be refused. What must go through in a full store (logging
-- out, revoking) begins with a write that takes no room.

-- A whole number of N bytes at I: most, or least, significant byte first.
local function most(s, i, n)
  local v = 0
  for k = i, i + n - 1 do v = v * 256 + s:byte(k) end
  return v
end

local function least(s, i, n)
  local v = 0
  for k = i + n - 1, i, -1 do v = v * 256 + s:byte(k) end
  return v
end

-- End the session KEY. A fence that is there keeps its reason, and its time if that is the later one; it is
-- written anew all the same, so that there is something for a replica to acknowledge. Gives whether there was a
-- session.
local function put_fence(key, fence, px)
  local was = redis.call('GET', key)
  local is_fence = was and was:byte(1) == 0
  local left = redis.call('PTTL', key)
  redis.call('DEL', key)
  if is_fence and #was >= 9 then
    if least(was, 2, 8) < least(fence, 2, 8) then
      fence = fence:sub(1, 9) .. was:sub(10)
    else
      fence = was
      if left > 0 then px = left end
    end
  end
  redis.call('SET', key, fence, 'PX', px)
  return was and not is_fence
end

-- Append to the stream of events: its number, which is the order of the commits.
local function append(stream, counter, stamp, kind, bytes)
  local seq = redis.call('INCR', counter)
  if seq == 1 then -- or the counter was lost, and the stream was not
    local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    if last then
      seq = tonumber(last[1]:match('^%d+')) + 1
      redis.call('SET', counter, string.format('%.0f', seq))
    end
  end
  redis.call('XADD', stream, 'MAXLEN', '~', 100000, string.format('%.0f-0', seq), kind, stamp .. bytes)
  return seq
end

-- The index of a user: entries of one score, so ordered by their bytes.
--    1 16  public id of the session
--   17  1  'l' live, 'x' to be ended by a limit
--   18  5  'l': when it is forgotten; 'x': until when its fence stands
--   23  5  'l': its absolute end
--   28  5  'l': last seen
--   33  5  'l': issued
--   38     'l': nothing, 'c' and the device class, or 'k' for what is behind an API key and never counts
local LIVE, ENDING = 108, 120

local function entry_of(index, id)
  return redis.call('ZRANGEBYLEX', index, '[' .. id, '(' .. id .. '\255', 'LIMIT', 0, 1)[1]
end

local function leave(index, id)
  redis.call('ZREMRANGEBYLEX', index, '[' .. id, '(' .. id .. '\255')
end

local function see(index, entry)
  local was = entry_of(index, entry:sub(1, 16))
  if was and was:byte(17) == LIVE and most(was, 28, 5) < most(entry, 28, 5) then
    redis.call('ZREM', index, was)
    redis.call('ZADD', index, 0, entry)
  end
end

-- The value of a character of base64url.
local function digit(c)
  if c >= 97 then return c - 71 end
  if c == 95 then return 63 end
  if c >= 65 then return c - 65 end
  if c == 45 then return 62 end
  return c + 4
end

-- What a limit ends, by the number of its policy: the times that sessions are ordered by. The same order as in
-- src/store/rules.c.
local ORDERS = { {28, 33}, {33, 28}, {23, 33}, {28, 33} }
local REFUSE = 3

-- Is the entry A to be ended before B?
local function before(a, b, order)
  local x, y
  for i = 1, 2 do
    x, y = most(a, order[i], 5), most(b, order[i], 5)
    if x ~= y then return x < y end
  end
  for i = 1, 16 do
    x, y = digit(a:byte(i)), digit(b:byte(i))
    if x ~= y then break end
  end
  return x < y
end

-- Of the LIVE entries, those that LIMIT = {max, of a class, policy} ends for the sake of ENTRY; nil when it
-- refuses ENTRY instead.
local function choose(live, entry, limit)
  local chosen, is_chosen, class, same = {}, {}, entry:sub(38), 0
  table.sort(live, function(a, b) return before(a, b, ORDERS[limit[3] + 1]) end)
  for _, e in ipairs(live) do
    if e:sub(38) == class then same = same + 1 end
  end
  for _, e in ipairs(live) do
    if limit[2] > 0 and same >= limit[2] and e:sub(38) == class then
      chosen[#chosen + 1], is_chosen[e], same = e, true, same - 1
    end
  end
  for _, e in ipairs(live) do
    if limit[1] > 0 and #live - #chosen >= limit[1] and not is_chosen[e] then chosen[#chosen + 1] = e end
  end
  if #chosen > 0 and limit[3] == REFUSE then return nil end
  return chosen
end

-- What entering ENTRY at NOW would do, without doing it: the entries beyond the limit, and those to be trimmed -
-- all that are over when there is a limit, else a few from where ENTRY stands (ids are random: each entry's turn
-- comes). Entries left over by a limit that was not carried out come with those beyond it. LEAVES is the id of a
-- session that does not count, or ''. Gives nil when the limit refuses.
local function look(index, entry, now, limit, leaves)
  local id, beyond, live, over = entry:sub(1, 16), {}, {}, {}
  local is_limited = (limit[1] > 0 or limit[2] > 0) and entry:sub(38) ~= 'k'
  local found
  if is_limited then
    found = redis.call('ZRANGE', index, 0, -1)
  else
    found = redis.call('ZRANGEBYLEX', index, '(' .. id, '+', 'LIMIT', 0, 8)
  end
  for _, e in ipairs(found) do
    local its = e:sub(1, 16)
    if its == id or its == leaves then -- written anew, or on its way out
    elseif #e == 22 and e:byte(17) == ENDING then
      beyond[#beyond + 1] = e
    elseif #e < 37 or most(e, 18, 5) <= now then
      over[#over + 1] = e
    elseif now < most(e, 23, 5) and e:sub(38) ~= 'k' then
      live[#live + 1] = e
    end
  end
  if is_limited then
    local chosen = choose(live, entry, limit)
    if not chosen then return nil end
    for _, e in ipairs(chosen) do beyond[#beyond + 1] = e end
  end
  return beyond, over
end

-- Add ENTRY and trim what LOOK found to be over.
local function enter(index, entry, ttl, over)
  leave(index, entry:sub(1, 16))
  redis.call('ZADD', index, 0, entry)
  for _, e in ipairs(over) do redis.call('ZREM', index, e) end
  if redis.call('PTTL', index) < ttl then redis.call('PEXPIRE', index, ttl) end
end

-- Remove the session that ENTRY says is over, if it is the one that ENTRY was written for. Mostly it is gone by
-- itself; not where the caller's clock was set forward.
local function drop(key, entry)
  local head = #entry >= 37 and redis.call('GETRANGE', key, 0, 20) or ''
  if #head == 21 and head:byte(1) ~= 0 and least(head, 7, 5) == most(entry, 28, 5)
    and least(head, 17, 5) == most(entry, 33, 5) then
    redis.call('DEL', key)
  end
end

-- On a server that has all keys: remove and end what `enter` gave. Gives how many sessions were ended.
local function carry_out(index, beyond, over, names, fence, px, stream, counter, stamp)
  local ended = 0
  for _, e in ipairs(over) do drop(names .. e:sub(1, 16), e) end
  for _, e in ipairs(beyond) do
    local id = e:sub(1, 16)
    redis.call('ZREM', index, e)
    if put_fence(names .. id, fence, px) then ended = ended + 1 end
    append(stream, counter, stamp, 's', id)
  end
  return ended
end
