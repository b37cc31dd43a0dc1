"""Every encoder gives what others decode, whole and as it comes, in bounded memory."""

import json
import random
import resource
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from middleware.decoding import CODINGS, Decoding, decode

from asgi_rt.errors import MissingExtra
from asgi_rt.middleware.encoders import CODINGS as OFFERED
from asgi_rt.middleware.encoders import LEVELS, load_encoders

TEXT = b"the same words again and again, " * 400

codings = pytest.mark.parametrize("coding", CODINGS)


@codings
@pytest.mark.parametrize("size", [0, 1, 500, len(TEXT)])
def test_a_whole_body_is_decoded_by_others(coding, size):
    encoder = load_encoders([coding])[coding](size)
    encoded = encoder.encode(TEXT[:size]) + encoder.finish()
    assert decode(coding, encoded) == TEXT[:size]
    assert size < 500 or len(encoded) < size / 5


@codings
@pytest.mark.parametrize("level", ["least", "most"])
def test_every_level_is_decoded_by_others(coding, level):
    bounds = {"zstd": (1, 19), "br": (0, 11), "gzip": (1, 9)}[coding]
    chosen = min(bounds) if level == "least" else max(bounds)
    make = load_encoders([coding], {coding: chosen})[coding]
    for size in (None, len(TEXT)):
        encoder = make(size)
        assert decode(coding, encoder.encode(TEXT) + encoder.finish()) == TEXT


@codings
@settings(max_examples=30)
@given(chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=8))
def test_every_chunk_of_a_stream_is_decoded_when_it_arrives(coding, chunks):
    encoder = load_encoders([coding])[coding](None)
    decoding = Decoding(coding)
    for chunk in chunks:
        assert decoding.feed(encoder.encode(chunk) + encoder.flush()) == chunk
    assert not decoding.is_whole
    assert decoding.feed(encoder.finish()) == b""
    assert decoding.is_whole


@codings
def test_chunks_that_are_alike_get_short(coding):
    encoder = load_encoders([coding])[coding](None)
    lines = [json.dumps({"symbol": "ACME", "number": number}).encode() for number in range(50)]
    sizes = [len(encoder.encode(line) + encoder.flush()) for line in lines]
    assert sum(sizes[10:]) < sum(map(len, lines[10:])) * 0.8


def test_levels_change_how_hard_it_is_tried():
    drawn = random.Random(1)
    body = json.dumps([{"id": drawn.random(), "of": drawn.choice("abc")} for _ in range(3000)])
    for coding, (low, high) in {"gzip": (1, 9), "br": (1, 9), "zstd": (1, 15)}.items():
        sizes = []
        for level in (low, high):
            encoder = load_encoders([coding], {coding: level})[coding](len(body))
            sizes.append(len(encoder.encode(body.encode()) + encoder.finish()))
        assert sizes[1] < sizes[0], coding


# Which there are


def test_what_is_installed_is_offered_by_default_the_quickest_first():
    assert tuple(load_encoders()) == OFFERED == ("zstd", "br", "gzip")
    assert set(LEVELS) == set(OFFERED)


def test_the_order_is_that_of_the_names_each_once():
    assert list(load_encoders(["gzip", "br", "gzip"])) == ["gzip", "br"]
    assert load_encoders([]) == {}


@pytest.fixture(params=[("br", "brotli", "brotli"), ("zstd", "zstandard", "zstd")])
def missing(request, monkeypatch):
    coding, package, extra = request.param
    monkeypatch.setitem(sys.modules, package, None)  # as if it could not be found
    return coding, package, extra


def test_what_is_not_installed_is_not_offered_by_default(missing):
    coding, _, _ = missing
    assert tuple(load_encoders()) == tuple(name for name in OFFERED if name != coding)


def test_what_is_asked_for_and_not_installed_names_its_extra(missing):
    coding, package, extra = missing
    with pytest.raises(MissingExtra) as caught:
        load_encoders(["gzip", coding])
    assert str(caught.value) == (
        f'the coding {coding} needs the package {package}: run pip install "asgi-rt[{extra}]"'
    )


def test_nothing_is_loaded_before_it_is_asked_for():
    script = """
        import sys
        from asgi_rt.middleware.compression import CompressionMiddleware
        print(*[name for name in ("brotli", "zstandard") if name in sys.modules])
        CompressionMiddleware(None, encodings=["gzip"])
        print(*[name for name in ("brotli", "zstandard") if name in sys.modules])
        CompressionMiddleware(None)
        print(*[name for name in ("brotli", "zstandard") if name in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["", "", "brotli zstandard"]


@pytest.mark.parametrize(
    ("names", "levels", "message"),
    [
        (["deflate"], None, "no coding 'deflate'; there are zstd, br, gzip"),
        (["GZIP"], None, "no coding 'GZIP'"),
        (None, {"deflate": 1}, "no coding 'deflate'"),
        (None, {"gzip": 0}, "the level of gzip is from 1 to 9, not 0"),
        (None, {"gzip": 10}, "the level of gzip is from 1 to 9, not 10"),
        (None, {"br": 12}, "the level of br is from 0 to 11, not 12"),
        (None, {"zstd": 20}, "the level of zstd is from 1 to 19, not 20"),
        (["gzip"], {"zstd": -1}, "the level of zstd"),
    ],
)
def test_a_coding_or_level_that_there_is_not_is_refused(names, levels, message):
    with pytest.raises(ValueError, match=message):
        load_encoders(names, levels)


def test_one_str_is_not_several_names():
    with pytest.raises(TypeError, match=r"write \['gzip'\]"):
        load_encoders("gzip")


# Memory

STREAMS = 100
MEASURE = """
import sys
from asgi_rt.middleware.encoders import load_encoders

def resident():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])

lines = [b'{"symbol":"ACME","price":%d.%02d,"volume":%d}\\n' % (n * 7 % 90, n % 100, n * n % 10007)
         for n in range(4000)]
text = b"".join(lines) * 6
blocks = [text[at:at + 16384] for at in range(0, 1 << 20, 16384)]
make = load_encoders([sys.argv[1]])[sys.argv[1]]
warm = make(None)
for block in blocks:
    warm.encode(block) + warm.flush()
before = resident()
encoders = [make(None) for _ in range(STREAMS)]
for encoder in encoders:
    for block in blocks:
        encoder.encode(block) + encoder.flush()
print((resident() - before) / STREAMS)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory is read in /proc")
@pytest.mark.parametrize(("coding", "most_kib"), [("gzip", 64), ("zstd", 192), ("br", 512)])
def test_a_stream_takes_little_once_a_megabyte_went_through_it(coding, most_kib):
    script = MEASURE.replace("STREAMS", str(STREAMS))
    done = subprocess.run(
        [sys.executable, "-c", script, coding], capture_output=True, text=True, check=True
    )
    kib = float(done.stdout)
    print(f"{coding}: {kib:.0f} KiB")
    assert resource.getpagesize() / 1024 < kib < most_kib
