"""The sockets of the server: bound early, told plainly where that fails, and never left behind."""

import os
import socket

import pytest

from asgi_rt.errors import AsgiRtError
from asgi_rt.server.listen import listen_tcp, listen_unix


def accepts(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.connect(address)


def test_port_0_is_any_free_port_and_the_url_names_it():
    with listen_tcp("127.0.0.1", 0) as (sockets, url):
        port = sockets[0].getsockname()[1]
        assert url == f"http://127.0.0.1:{port}"
        accepts(("127.0.0.1", port))
    assert sockets[0].fileno() == -1


def test_every_address_of_a_name_gets_the_same_port():
    with listen_tcp("localhost", 0) as (sockets, url):
        assert {each.getsockname()[1] for each in sockets} == {int(url.rpartition(":")[2])}


def test_an_ipv6_address_is_bracketed_in_the_url():
    try:
        with listen_tcp("::1", 0) as (_, url):
            assert url.startswith("http://[::1]:")
    except AsgiRtError:
        pytest.skip("this machine has no IPv6")


def test_a_port_in_use_is_named():
    with (
        listen_tcp("127.0.0.1", 0) as (sockets, _),
        pytest.raises(AsgiRtError, match=r"port \d+ of 127.0.0.1 is in use .*--port"),
        listen_tcp("127.0.0.1", sockets[0].getsockname()[1]),
    ):
        pass


def test_the_next_free_port_is_taken_where_that_is_asked_for():
    with listen_tcp("127.0.0.1", 0) as (sockets, _):
        port = sockets[0].getsockname()[1]
        with listen_tcp("127.0.0.1", port, spare_ports=20) as (others, _):
            assert port < others[0].getsockname()[1] <= port + 20


def test_a_range_of_ports_in_use_is_named():
    with listen_tcp("127.0.0.1", 0) as (sockets, _):
        port = sockets[0].getsockname()[1]
        with (
            listen_tcp("127.0.0.1", port, spare_ports=20) as (others, _),
            pytest.raises(AsgiRtError, match=r"the ports \d+ to \d+ of 127.0.0.1 are in use"),
            listen_tcp("127.0.0.1", port, spare_ports=others[0].getsockname()[1] - port),
        ):
            pass


def test_an_address_of_another_machine_is_refused():
    with (
        pytest.raises(AsgiRtError, match=r"cannot listen on port 0 of 192\.0\.2\.1"),
        listen_tcp("192.0.2.1", 0),
    ):
        pass


def test_a_name_without_an_address_is_refused():
    with (
        pytest.raises(AsgiRtError, match=r"cannot listen on nothing\.invalid: "),
        listen_tcp("nothing.invalid", 0),
    ):
        pass


def test_a_unix_socket_is_open_to_a_proxy_and_removed_at_the_end(socket_path):
    with listen_unix(socket_path) as (_, url):
        assert url == f"unix:{socket_path}"
        assert os.stat(socket_path).st_mode & 0o777 == 0o666
        accepts(socket_path)
    assert not os.path.exists(socket_path)


def test_a_unix_socket_of_a_living_server_is_left_to_it(socket_path):
    with listen_unix(socket_path):
        with pytest.raises(AsgiRtError, match="in use"), listen_unix(socket_path):
            pass
        accepts(socket_path)


def test_a_unix_socket_of_a_dead_server_is_replaced(socket_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(socket_path)
    with listen_unix(socket_path):
        accepts(socket_path)


def test_a_unix_socket_that_the_next_server_has_replaced_is_left_to_it(socket_path):
    """A server that drains has closed its socket, and its successor has taken the path."""
    with listen_unix(socket_path) as (sockets, _):
        sockets[0].close()
        successor = listen_unix(socket_path)
        successor.__enter__()
    accepts(socket_path)
    successor.__exit__(None, None, None)
    assert not os.path.exists(socket_path)


def test_another_file_is_never_replaced_by_a_unix_socket(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("keep me")
    with pytest.raises(AsgiRtError, match="is no socket"), listen_unix(str(path)):
        pass
    assert path.read_text() == "keep me"


@pytest.mark.parametrize("path", ["/no/such/directory/s", "/tmp/" + 200 * "s"])
def test_a_path_that_cannot_be_is_refused(path):
    with pytest.raises(AsgiRtError, match="cannot listen on /"), listen_unix(path):
        pass
