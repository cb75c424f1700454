-- SPDX-License-Identifier: Apache-2.0
--
-- wrk -s visitors.lua URL -- FILE COOKIE: each request is of another visitor, in turn. FILE holds a session id a line. The
-- requests are made beforehand, so that wrk does the same work for every location.
local requests, at = {}, 0

function init(args)
    for id in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", nil, {["Cookie"] = args[2] .. "=" .. id})
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
