"""`asgi-rt run` over real processes: what it serves, what it passes on, how it fails."""

import signal
import sys
from pathlib import Path

import httpx2
import pytest
from server_process import RawClient, ServerProcess

from asgi_rt.server.listen import listen_tcp

RUN = ("-m", "asgi_rt", "run")

pytestmark = pytest.mark.slow


def test_the_grace_reaches_the_app_and_what_is_mounted_in_it(start):
    server = start(*RUN, "served:app", "--port", "0", "--grace", "2.5")
    graces = httpx2.get(f"{server.url}/health").json()
    assert graces == {"grace": 2.5, "background": 2.5, "inner": 2.5}


def test_the_grace_reaches_an_app_of_the_adapter(start):
    server = start(*RUN, "served_fastapi:app", "--port", "0", "--grace", "2.5")
    assert httpx2.get(f"{server.url}/items/1").json() == 2.5


def test_the_app_keeps_its_own_grace_where_none_is_given(start):
    server = start(*RUN, "served:make_app", "--factory", "--port", "0")
    graces = httpx2.get(f"{server.url}/health").json()
    assert graces == {"grace": 1, "background": 1, "inner": 10.0}


def test_the_grace_reaches_workers(start):
    server = start(*RUN, "served:app", "--port", "0", "--workers", "2", "--grace", "2.5")
    assert httpx2.get(f"{server.url}/health").json()["grace"] == 2.5


def test_a_hub_of_one_worker_says_that_it_does_not_reach_the_others(start):
    server = start(*RUN, "served:with_a_hub", "--port", "0", "--workers", "2")
    server.wait_for("WEB_CONCURRENCY is 2", count=2)


def test_requests_are_served_over_a_unix_socket(start, socket_path):
    server = start(*RUN, "served:app", "--uds", socket_path)
    server.wait_for(f"serving unix:{socket_path}")
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=socket_path)) as client:
        assert client.get("http://localhost/inner/leaf").text == "leaf"


def test_the_root_path_is_passed_on(start):
    server = start(*RUN, "served:app", "--port", "0", "--root-path", "/below")
    answer = httpx2.get(f"{server.url}/client").json()
    assert answer["url"] == f"{server.url}/below/client"


@pytest.mark.parametrize(
    ("option", "believed"), [("--proxy-headers", True), ("--no-proxy-headers", False)]
)
def test_headers_of_a_proxy_are_believed_if_asked(start, option, believed):
    server = start(*RUN, "served:app", "--port", "0", option)
    headers = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    answer = httpx2.get(f"{server.url}/client", headers=headers).json()
    assert (answer["client"][0] == "192.0.2.7") is believed
    assert answer["url"].startswith("https:") is believed


def test_a_port_in_use_ends_it_with_one_line_before_the_app_starts(start):
    with listen_tcp("127.0.0.1", 0) as (sockets, _):
        port = str(sockets[0].getsockname()[1])
        server = start(*RUN, "served:app", "--port", port)
        assert server.exit_status() == 1
    (line,) = server.lines
    assert line.startswith(f"asgi-rt: port {port} of 127.0.0.1 is in use")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_app_that_does_not_start_ends_it_with_1(start, workers):
    server = start(*RUN, "served:failing", "--port", "0", "--workers", workers)
    assert server.exit_status() == 1
    server.wait_for("RuntimeError: the database is away")
    server.wait_for("^asgi-rt: the app did not start")


def test_workers_that_find_no_app_end_it_with_1(start):
    server = start(*RUN, "served:nothing", "--port", "0", "--workers", "2")
    assert server.exit_status() == 1
    server.wait_for("has no 'nothing'")
    assert "Traceback" not in server.output


def test_what_a_signal_ends_while_it_starts_exits_with_0(start, tmp_path):
    go_on = tmp_path / "go_on"
    (tmp_path / "slow_start.py").write_text(
        "import anyio, contextlib, os, asgi_rt\n"
        "@contextlib.asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    print('starting', flush=True)\n"
        f"    while not os.path.exists({str(go_on)!r}):\n"
        "        await anyio.sleep(0.01)\n"
        "    yield\n"
        "    print('stopped', flush=True)\n"
        "app = asgi_rt.App(lifespan=lifespan)\n"
    )
    server = start(*RUN, "slow_start:app", "--port", "0", "--app-dir", str(tmp_path))
    server.wait_for("starting")
    server.send_signal(signal.SIGTERM)
    go_on.touch()
    assert server.exit_status() == 0
    assert "stopped" in server.lines


def test_a_change_of_a_file_starts_it_again_with_no_connection_refused(start, tmp_path):
    module = tmp_path / "changing.py"
    code = "import asgi_rt\napp = asgi_rt.App()\n@app.get('/')\nasync def f(request): return {!r}\n"
    module.write_text(code.format("before"))
    options = ("--port", "0", "--reload", "--app-dir", str(tmp_path))
    server = start(*RUN, "changing:app", *options)
    assert httpx2.get(server.url, timeout=30).text == "before"
    for _ in range(20):  # the watcher may not have begun to watch yet
        module.write_text(code.format("afterwards"))
        if server.prints("Reloading", within=1):
            break
    server.wait_for("Application startup complete", count=2)
    assert httpx2.get(server.url, timeout=30).text == "afterwards"


def test_run_serves_an_app_object_returns_and_puts_the_handlers_back(tmp_path):
    code = (
        "import signal\n"
        "from asgi_rt import App\n"
        "from asgi_rt.server.run import run\n"
        "before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]\n"
        "run(App(), port=0)\n"
        "after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]\n"
        "print('put back' if after == before else 'changed')\n"
    )
    with ServerProcess("-c", code, cwd=tmp_path) as server:
        with RawClient(server.address) as client:
            client.get("/")
            client.read_until(b"404 Not Found")
        server.send_signal(signal.SIGINT)
        assert server.exit_status() == 0
    assert server.lines[-1] == "put back"


def test_workers_need_the_app_by_name(tmp_path):
    code = (
        "from asgi_rt import App\n"
        "from asgi_rt.errors import AsgiRtError\n"
        "from asgi_rt.server.run import run\n"
        "try: run(App(), workers=2)\n"
        "except AsgiRtError as error: print(error)\n"
    )
    with ServerProcess("-c", code, cwd=tmp_path) as server:
        assert server.exit_status() == 0
    assert server.lines == ["workers and reload need the app as 'module:attribute'"]


def test_the_log_level_reaches_the_package_too(start):
    server = start(*RUN, "served:app", "--port", "0", "--log-level", "warning", "--no-access-log")
    server.wait_for("app started")
    server.send_signal(signal.SIGTERM)
    assert server.exit_status() == 0
    assert server.lines == ["app started", "app stopped"]


def test_the_command_is_installed_and_finds_modules_where_it_is_run(start):
    command = Path(sys.executable).with_name("asgi-rt")
    server = start(str(command), "run", "served:app", "--port", "0")
    assert httpx2.get(f"{server.url}/inner/leaf").text == "leaf"
