"""The chat in a real browser: pages that talk, see each other and catch up, a server that dies."""

import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_process import ServerProcess

HERE = Path(__file__).parent
DEMO = ("-m", "asgi_rt", "demo", "--port")
GUARDED = ("-m", "asgi_rt", "run", "guarded:app", "--port", "0", "--no-access-log")
LOST = 1006

# A connection to `url`, and how it goes: whether it opened, what came, and the code of its end, or
# null where it does not end.
CONNECT = """
(url) => new Promise((resolve) => {
    const seen = { opened: false, messages: [] };
    const socket = new WebSocket(url);
    socket.onopen = () => (seen.opened = true);
    socket.onmessage = ({ data }) => seen.messages.push(JSON.parse(data));
    socket.onclose = ({ code }) => resolve({ ...seen, code });
    setTimeout(() => resolve({ ...seen, code: null }), 10000);
})
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@contextmanager
def serving(caches, *, port=0):
    env = {"XDG_CACHE_HOME": str(caches)}
    with ServerProcess(*DEMO, str(port), cwd=caches, env=env) as demo:
        demo.wait_for("Ctrl-C")
        yield demo


@pytest.fixture(scope="module")
def demo(caches):
    with serving(caches) as demo:
        yield demo


@pytest.fixture
def enter(page):
    """Open a page on a room, each in a tab of its own, and go by this name there."""

    def enter(demo, name, room="lobby"):
        visitor = Visitor(page.context.new_page())
        visitor.enter(f"{demo.url}/chat/{room}", name)
        return visitor

    return enter


class Visitor:
    """Somebody who uses the page of a room."""

    def __init__(self, page):
        self.page = page
        self.problems = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text))

    def enter(self, url, name):
        self.page.goto(url)
        self.wait_for("you are here")
        self.rename(name)
        self.wait_for(f"is now {name}")

    def say(self, text):
        self.page.get_by_label("Message").fill(text)
        self.page.get_by_role("button", name="Say").click()

    def rename(self, name):
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Rename").click()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()

    def wait_for(self, text, *, count=1):
        """Wait for the `count`-th line with this text."""
        self.page.locator("#lines li").filter(has_text=text).nth(count - 1).wait_for()

    def wait_for_status(self, text):
        self.page.get_by_role("status").filter(has_text=text).wait_for()

    def wait_for_code(self, code):
        self.page.locator("[data-field=code]").filter(has_text=str(code)).wait_for()

    @property
    def lines(self):
        return self.page.locator("#lines li").all_inner_texts()

    def lines_of(self, kind):
        return self.page.locator(f"#lines .{kind}").all_inner_texts()

    @property
    def people(self):
        return self.page.locator("#people li").all_inner_texts()


def check_they_talk(one, other, text):
    """What either says, both see, once."""
    for speaker, said in ((one, f"{text}, one"), (other, f"{text}, other")):
        speaker.say(said)
        for visitor in (one, other):
            visitor.wait_for(said)
    for visitor in (one, other):
        assert sum(text in line for line in visitor.lines) == 2


# Two pages


def test_two_pages_in_a_room_see_each_other_talk_come_and_go(demo, enter):
    ada = enter(demo, "Ada")
    bob = enter(demo, "Bob")
    ada.wait_for("has come")
    assert ada.people == bob.people == ["Ada", "Bob"]
    check_they_talk(ada, bob, "hello")
    bob.press("Leave")
    bob.wait_for_status("stopped")
    ada.wait_for("Bob has left")
    assert ada.people == ["Ada"]
    bob.press("Join")
    bob.wait_for("you are back, as Bob")
    ada.wait_for("Bob has come")
    bob.page.close()
    ada.wait_for("Bob has left", count=2)
    assert ada.people == ["Ada"]
    assert ada.problems == bob.problems == []


def test_who_comes_sees_what_was_said_before_and_who_is_there(demo, enter):
    ada = enter(demo, "Ada", "library")
    for text in ("the first", "the second"):
        ada.say(text)
        ada.wait_for(text)
    bob = enter(demo, "Bob", "library")
    bob.wait_for("the second")
    said = [line.rpartition("Ada: ")[2] for line in bob.lines_of("said")]
    assert said == ["the first", "the second"]
    assert ada.people == bob.people == ["Ada", "Bob"]
    assert bob.page.locator("#people .own").all_inner_texts() == ["Bob"]
    assert len(ada.lines_of("own")) == 2
    assert bob.lines_of("own") == []
    assert ada.problems == bob.problems == []


def test_who_was_away_sees_what_was_said_meanwhile_once(demo, enter):
    ada, bob = enter(demo, "Ada", "porch"), enter(demo, "Bob", "porch")
    check_they_talk(ada, bob, "before")
    bob.press("Leave")
    ada.wait_for("Bob has left")
    ada.say("meanwhile")
    ada.wait_for("meanwhile")
    bob.press("Join")
    bob.wait_for("meanwhile")
    check_they_talk(ada, bob, "after")
    assert sum("before" in line for line in bob.lines) == 2
    assert sum("meanwhile" in line for line in bob.lines) == 1
    assert bob.lines_of("gap") == []
    assert ada.problems == bob.problems == []


# Many who come, say nine messages each, which is allowed at once, and leave when they are heard.
SAY_A_LOT = """
(url) => Promise.all(Array.from({ length: 16 }, () => new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    let own = 0;
    let member = null;
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === "welcome") {
            member = message.member;
            for (let number = 0; number < 9; number++) {
                socket.send(JSON.stringify({ type: "say", text: `chatter ${number}` }));
            }
        }
        if (message.data?.member === member && ++own === 9) socket.close(1000);
    };
    socket.onclose = ({ code, reason }) =>
        code === 1000 ? resolve() : reject(new Error(`${code} ${reason}`));
})))
"""


def test_who_was_away_for_more_than_is_kept_sees_how_much_they_missed(demo, enter):
    ada = enter(demo, "Ada", "market")
    ada.say("before")
    ada.wait_for("before")
    ada.press("Leave")
    ada.wait_for_status("stopped")
    ada.page.evaluate(SAY_A_LOT, f"{demo.url.replace('http', 'ws')}/chat/market")
    ada.press("Join")
    ada.wait_for("you missed 144 messages")
    ada.say("after")
    ada.wait_for("after")
    assert "chatter" not in "".join(ada.lines)
    assert ada.problems == []


def test_rooms_are_apart(demo, enter):
    ada, bob = enter(demo, "Ada", "kitchen"), enter(demo, "Bob", "garden")
    ada.say("in the kitchen")
    ada.wait_for("in the kitchen")
    bob.say("in the garden")
    bob.wait_for("in the garden")
    assert "kitchen" not in "".join(bob.lines)
    assert "garden" not in "".join(ada.lines)


def test_what_is_said_is_text_whatever_it_looks_like(demo, enter):
    ada = enter(demo, "Ada", "attic")
    ada.say("<img src=x onerror=alert(1)>")
    ada.wait_for("<img src=x onerror=alert(1)>")
    assert ada.problems == []


def test_errors_of_the_server_are_shown_and_the_connection_lives_on(demo, enter):
    ada, bob = enter(demo, "Ada", "hall"), enter(demo, "Bob", "hall")
    bob.rename("Ada")
    bob.wait_for("error 409: Ada is here already")
    bob.say("   ")
    bob.wait_for("error invalid")
    bob.wait_for("there is nothing to say")
    check_they_talk(ada, bob, "hello")
    assert bob.people == ["Ada", "Bob"]


# Lost connections


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, LOST), (signal.SIGTERM, 1012)], ids=["killed", "stopped"]
)
def test_both_pages_come_back_by_themselves_to_a_server_that_was_restarted(
    caches, enter, number, code
):
    with serving(caches) as demo:
        ada, bob = enter(demo, "Ada"), enter(demo, "Bob")
        check_they_talk(ada, bob, "before")
        demo.send_signal(number)
        for visitor in (ada, bob):
            visitor.wait_for_code(code)
            visitor.wait_for_status("trying again in")
            assert visitor.page.get_by_role("button", name="Say").is_disabled()
        port = demo.address[1]
    with serving(caches, port=port) as again:
        assert again.url == demo.url
        ada.wait_for("you are back, as Ada")
        bob.wait_for("you are back, as Bob")
        check_they_talk(ada, bob, "after")
        assert sorted(ada.people) == ["Ada", "Bob"]
        assert ada.page.locator("[data-field=reconnects]").inner_text() == "1"
        for visitor in (ada, bob):
            assert visitor.lines_of("gap") == [
                "you may have missed messages: the server has begun anew"
            ]


def test_a_page_that_is_sent_away_says_why_and_comes_back(demo, enter):
    ada = enter(demo, "Ada", "cellar")
    ada.page.get_by_label("Message").fill("x")
    ada.page.evaluate(
        """() => {
            const text = document.querySelector("#say input");
            for (let number = 0; number < 30; number++) {
                text.value = number;
                document.querySelector("#say").requestSubmit();
            }
        }"""
    )
    ada.wait_for_code("1008 at most 10 messages per second may be sent")
    ada.wait_for("you are back, as Ada")


def test_a_server_that_vanished_without_a_word_is_noticed(caches, page):
    with serving(caches) as demo:
        page.goto(f"{demo.url}/health")
        page.evaluate(
            """async () => {
                const { LiveSocket } = await import("/page/socket.js");
                window.seen = { ends: [], welcomes: 0, pongs: 0 };
                const on = {
                    welcome: () => (seen.welcomes += 1),
                    pong: () => (seen.pongs += 1),
                };
                const socket = new LiveSocket(
                    () => `${location.origin.replace("http", "ws")}/chat/lobby`,
                    {
                        message: ({ type }) => on[type](),
                        closed: (code) => seen.ends.push(code),
                        silenceMs: 100,
                        answerMs: 1000,
                    },
                );
                socket.run(new AbortController().signal, () => {});
            }"""
        )
        page.wait_for_function("() => seen.pongs >= 2")
        assert page.evaluate("seen.ends") == []
        demo.send_signal(signal.SIGSTOP)
        page.wait_for_function("() => seen.ends.length === 1")
        assert page.evaluate("seen.ends") == [LOST]
        demo.send_signal(signal.SIGCONT)
        page.wait_for_function("() => seen.welcomes >= 2")


def test_delays_grow_up_to_a_limit_and_are_spread_by_chance(page, demo):
    page.goto(f"{demo.url}/health")
    delays = page.evaluate(
        """async () => {
            const { LiveSocket } = await import("/page/socket.js");
            const delays = [];
            window.setTimeout = (then, ms) => { delays.push(ms); queueMicrotask(then); };
            window.WebSocket = class extends EventTarget {
                constructor() {
                    super();
                    const end = Object.assign(new Event("close"), { code: 1006, reason: "" });
                    if (delays.length < 12) queueMicrotask(() => this.dispatchEvent(end));
                    else whenDone();
                }
            };
            let whenDone;
            await new Promise((resolve) => {
                whenDone = resolve;
                const socket = new LiveSocket(() => "", { message() {} });
                socket.run(new AbortController().signal, () => {});
            });
            return delays;
        }"""
    )
    longest = [min(15000, 500 * 2**attempt) for attempt in range(12)]
    assert all(most / 2 <= delay <= most for delay, most in zip(delays, longest, strict=True))
    assert len(set(delays)) == 12


# Pages from elsewhere


def test_a_page_of_another_origin_cannot_enter(demo, server, page):
    said = []
    page.on("console", lambda message: said.append(message.text))
    url = f"{demo.url.replace('http', 'ws')}/chat/lobby"
    page.goto(server.url)
    assert page.evaluate(CONNECT, url) == {"opened": False, "messages": [], "code": LOST}
    assert len(said) == 1
    assert "Unexpected response code: 403" in said[0]


def test_cookies_that_come_along_do_not_let_a_foreign_page_in(server, page):
    """A browser sends them to every port of a host."""
    cookies = {"session": "secret"}
    with ServerProcess(*GUARDED, cwd=HERE) as guarded:
        url = guarded.url.replace("http", "ws")
        page.context.add_cookies([{"name": "session", "value": "secret", "url": guarded.url}])
        page.goto(server.url)
        assert page.evaluate(CONNECT, f"{url}/all") == {
            "opened": True,
            "messages": [cookies],
            "code": 1000,
        }
        assert page.evaluate(CONNECT, f"{url}/own") == {
            "opened": False,
            "messages": [],
            "code": LOST,
        }
        page.goto(guarded.url)
        assert page.evaluate(CONNECT, f"{url}/own")["messages"] == [cookies]
