"""The demo's slow reader in a real browser: what is lost for it, and that the other notices not."""

import re
from contextlib import contextmanager

import pytest
from server_process import ServerProcess

DEMO = ("-m", "asgi_rt", "demo", "--port", "0")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    caches = tmp_path_factory.mktemp("caches")
    with ServerProcess(*DEMO, cwd=caches, env={"XDG_CACHE_HOME": str(caches)}) as demo:
        demo.wait_for("Ctrl-C")
        yield demo


@pytest.fixture
def panel(page, demo):
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text))
    page.goto(demo.url)
    yield Panel(page)
    assert problems == []


class Panel:
    """The section of the page, and the numbers in it."""

    def __init__(self, page):
        self._page = page
        self._section = page.locator("#slow-reader")

    def choose(self, policy):
        self._section.get_by_label("Policy").select_option(policy)

    def press(self, name):
        self._section.get_by_role("button", name=name, exact=True).click()

    def set_speed(self, kib_per_second):
        self._section.get_by_label("Reads at most").fill(str(kib_per_second))

    def wait_for_status(self, text):
        self._section.get_by_role("status").filter(has_text=text).wait_for()

    def wait_until(self, field, condition):
        """Wait until the number of a field fulfils a condition in `n`."""
        self._page.wait_for_function(
            f"""(field) => {{
                const element = document.querySelector(`#slow-reader [data-field=${{field}}]`);
                const n = Number(element.textContent.replace(/[^0-9]/g, ""));
                return {condition};
            }}""",
            arg=field,
        )

    def number(self, field):
        text = self._section.locator(f"[data-field={field}]").inner_text()
        return int(re.sub(r"\D", "", text))

    def check_nothing_was_lost_for_the_healthy_one(self):
        for field in ("dropped", "coalesced", "disconnected", "gaps", "missed"):
            assert self.number(f"healthy-{field}") == 0


@contextmanager
def running(panel, policy):
    panel.choose(policy)
    panel.press("Start")
    panel.wait_for_status(f"running: {policy}")
    yield
    panel.press("Stop")
    panel.wait_for_status("stopped")


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_what_is_dropped_for_the_slow_one_is_not_for_the_healthy_one(panel, policy):
    with running(panel, policy):
        panel.wait_until("slow-dropped", "n > 200")
        assert panel.number("slow-pending") >= 90
        delivered = panel.number("healthy-delivered")
        panel.wait_until("healthy-delivered", f"n > {delivered + 100}")
        panel.check_nothing_was_lost_for_the_healthy_one()
        # Let it read, and it is told what it does not get.
        panel.set_speed(2400)
        panel.wait_until("slow-gaps", "n > 0")
        panel.wait_until("slow-pending", "n < 10")
        assert panel.number("slow-missed") > 0


def test_of_each_key_the_newest_waits_for_the_slow_one(panel):
    with running(panel, "coalesce"):
        panel.wait_until("slow-coalesced", "n > 200")
        assert panel.number("slow-pending") <= 10
        panel.check_nothing_was_lost_for_the_healthy_one()


def test_a_slow_one_that_is_sent_away_comes_back(panel):
    with running(panel, "disconnect"):
        panel.wait_until("slow-disconnected", "n > 0")
        panel.set_speed(2400)
        panel.wait_until("slow-pending", "n > 0")
        last = panel.number("healthy-last")
        panel.wait_until("slow-last", f"n > {last}")
        panel.check_nothing_was_lost_for_the_healthy_one()


def test_a_publisher_that_is_blocked_holds_both_up(panel):
    with running(panel, "block"):
        panel.set_speed(0)
        panel.wait_until("slow-pending", "n === 100")
        panel.wait_until("healthy-rate", "n === 0")
        assert panel.number("slow-dropped") == 0
        published = panel.number("published")
        panel.set_speed(2400)
        panel.wait_until("published", f"n > {published + 100}")
        panel.check_nothing_was_lost_for_the_healthy_one()


def test_another_policy_is_another_session(panel):
    with running(panel, "block"):
        panel.wait_until("slow-pending", "n === 100")
        panel.choose("coalesce")
        panel.wait_for_status("running: coalesce")
        panel.wait_until("slow-coalesced", "n > 0")


def test_more_pages_than_can_watch_are_told_so(panel, page, demo):
    with running(panel, "drop_oldest"):
        others = [Panel(open_another(page, demo)) for _ in range(5)]
        for other in others[:4]:
            other.press("Start")
            other.wait_for_status("running")
        others[4].press("Start")
        others[4].wait_for_status("failed: 1013, too many are watching a slow reader")
        others[0].press("Stop")
        others[0].wait_for_status("stopped")
        others[4].press("Start")
        others[4].wait_for_status("running")


def test_a_page_that_is_closed_leaves_no_session(panel, page, demo):
    """Else there would soon be too many."""
    for _ in range(6):
        another = open_another(page, demo)
        opened = Panel(another)
        opened.press("Start")
        opened.wait_until("slow-dropped", "n > 0")
        another.close()
    with running(panel, "drop_oldest"):
        panel.wait_until("slow-dropped", "n > 0")


def open_another(page, demo):
    another = page.context.new_page()
    # Its other streams would use up the browser's connections to one host.
    another.route("**/page/page.js", lambda route: route.fulfill(content_type="text/javascript"))
    another.goto(demo.url)
    return another
