# SPDX-License-Identifier: Apache-2.0
"""A real browser that blocks cookies and scripts gets about by `latchkey_url`."""
import json
import re
import subprocess
import sys

from test_browser import FLOW_S, HERE, packages  # noqa: F401

sys.path.insert(0, str(HERE.parent / "gateway"))

from gateway_lab import Gateway  # noqa: E402
from test_url_carrier import Shop, ids  # noqa: E402


def test_a_browser_without_cookies_and_scripts_logs_in_and_out(packages, tmp_path):  # noqa: F811
    shop = Shop()
    gateway = Gateway(tmp_path / "gateway", workers=1, server=f"""latchkey_url on;
        location /shop/ {{ latchkey optional anonymous; proxy_pass http://127.0.0.1:{shop.port}; }}""")
    try:
        gateway.start()
        run = subprocess.run(["node", HERE / "cookieless.mjs", f"http://127.0.0.1:{gateway.port}", tmp_path / "profile"],
                             capture_output=True, text=True, timeout=FLOW_S, check=False)
        assert run.returncode == 0, run.stderr
        steps = {s["step"]: s for s in map(json.loads, run.stdout.splitlines())}
        where = {name: re.sub(r";lk=.*", ";lk=", s["path"]) for name, s in steps.items()}
        assert where == {"open": "/shop/", "buy": "/shop/add;lk=", "register": "/auth/login;lk=", "log in": "/shop/;lk=",
                         "account": "/auth/account;lk=", "log out": "/shop/;lk=", "cookies": ""}
        assert [steps[s]["who"] for s in ("open", "log in", "account", "log out", "cookies")] == ["", "walker", "walker", "", "0"]
        assert steps["buy"]["path"][-43:] != steps["log in"]["path"][-43:]
        assert shop.seen and ids(shop.text) == set()
        assert gateway.faults() == []
    finally:
        gateway.stop()
        shop.close()
