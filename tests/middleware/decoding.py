"""Decoding bodies as clients do, whole or as they come."""

import zlib

import brotli
import zstandard

CODINGS = ("gzip", "br", "zstd")


class Decoding:
    """One body, decoded as it comes. `is_whole` says whether its end was seen."""

    def __init__(self, coding):
        self._coding = coding
        if coding == "gzip":
            self._decoder = zlib.decompressobj(31)
        elif coding == "br":
            self._decoder = brotli.Decompressor()
        else:
            self._decoder = zstandard.ZstdDecompressor().decompressobj()

    def feed(self, encoded):
        """What of the body can be decoded with these bytes."""
        if self._coding == "br":
            return self._decoder.process(encoded)
        return self._decoder.decompress(encoded)

    @property
    def is_whole(self):
        return self._decoder.is_finished() if self._coding == "br" else self._decoder.eof


def decode(coding, encoded):
    """A whole body. It must have its end, and nothing behind it."""
    decoding = Decoding(coding)
    body = decoding.feed(encoded)
    assert decoding.is_whole
    return body
