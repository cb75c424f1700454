# SPDX-License-Identifier: Apache-2.0
"""Programs that refresh their logins all the time, and find out whether one was ever refused or given another successor.

    families = Families(cluster)
    ...                             # whatever happens to the cluster meanwhile
    families.stop()
    families.assert_well()          # nobody was refused; every answer was the one successor
    families.assert_used_ones_end() # a used token still ends its login, on every node
"""
import threading
import time


def number(token):
    return int(token.split(".")[3])


class Family:
    """One login, and all that was given for it."""

    def __init__(self, client):
        self.client, self.wrong = client, []
        self.steps = self.waited = 0
        self.tokens = [client.login("alice")["refresh_token"]]

    def ask(self, client, token, seconds=60):
        """As a program does: where the answer is that nobody can say now, or none, the same again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                answer = client.refresh(token)
            except OSError:
                answer = None
            if answer is not None and answer.status == 503:
                problem = answer.json()
                if not answer.headers["Retry-After"] or problem["reason"] != "store_unavailable":
                    self.wrong.append(("503", problem))
            elif answer is not None and answer.status != 502:
                return answer
            self.waited += 1
            time.sleep(0.1)
        self.wrong.append(("no answer", token))
        return None

    def take(self, answer, token):
        if answer is None or answer.status != 200:
            self.wrong.append((number(token), answer and (answer.status, answer.body)))
            return None
        given = answer.json()["refresh_token"]
        if number(given) != number(token) + 1 or given.split(".")[1] != token.split(".")[1]:
            self.wrong.append(("not the next", number(token), number(given)))
        return answer.json()

    def step(self, twin):
        """Refresh; every other time a TWIN comes with the same token at the same moment."""
        token, answers = self.tokens[-1], []
        both = [threading.Thread(target=lambda c=c: answers.append(self.ask(c, token))) for c in (self.client, twin)]
        for thread in both[:1 + self.steps % 2]:
            thread.start()
        for thread in both[:1 + self.steps % 2]:
            thread.join()
        bodies = [self.take(answer, token) for answer in answers]
        if None in bodies:
            return None
        if len({body["refresh_token"] for body in bodies}) != 1:
            self.wrong.append(("two successors", number(token)))
        self.tokens.append(bodies[0]["refresh_token"])
        self.steps += 1
        return bodies[0]


class Families:
    """BUSY ones refresh until `stop`; AWAY ones come back in `assert_well`. CHECKS: the token beside each answer is shown
    to every node and has to be known there."""

    def __init__(self, cluster, busy=5, away=3, pause_s=0.02, checks=False):
        self.cluster, self.pause_s, self.checks, self.checked = cluster, pause_s, checks, 0
        self.stopping = threading.Event()
        self.all = [Family(cluster.client()) for _ in range(busy + away)]
        self.twins = [cluster.client(i % len(cluster.nodes)) for i in range(len(self.all))]
        for family, twin in zip(self.all, self.twins):
            family.step(twin)
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(busy)]
        for thread in self.threads:
            thread.start()

    def work(self, i):
        family = self.all[i]
        try:
            while not self.stopping.is_set() and not family.wrong:
                body = family.step(self.twins[i])
                if body is not None and self.checks:
                    self.check(family, body["token"])
                time.sleep(self.pause_s)
        except Exception as problem:  # a thread that dies says nothing by itself
            family.wrong.append(repr(problem))

    def check(self, family, token):
        for node in range(len(self.cluster.nodes)):
            answer = family.client.get("/auth/session", bearer=token, node=node)
            self.checked += 1
            if answer.status != 200:
                family.wrong.append(("token", node, answer.status, answer.body))

    @property
    def steps(self):
        return sum(family.steps for family in self.all)

    @property
    def wrong(self):
        return [what for family in self.all for what in family.wrong]

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)

    def assert_well(self):
        """All of them once more, each on the nodes in turn."""
        for family, twin in zip(self.all, self.twins):
            family.step(twin)
            family.step(twin)
        assert not self.wrong, (self.wrong[:5], self.cluster.logs()[-2000:])
        assert all(len(set(family.tokens)) == family.steps + 1 for family in self.all)

    def assert_used_ones_end(self):
        """What came before the last but one was used, and so was its successor."""
        for family in self.all:
            for token in (family.tokens[0], family.tokens[-1]):
                for node in range(len(self.cluster.nodes)):
                    answer = family.client.refresh(token, node=node)
                    assert answer.status == 401 and answer.json()["reason"] == "revoked", (answer.status, answer.body)
