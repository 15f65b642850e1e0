"""Streams that are packed with Zstandard, which the standard library does not read before 3.14."""

from typing import BinaryIO

import zstandard

_MAX_WINDOW_BYTES = 128 << 20  # `zstd --ultra -22` asks for as much, and no common level for more
# Four bytes may stand for 128 KiB: what one piece can become, 64 MiB, is held in memory.
_PIECE_BYTES = 2 << 10


class Stream:
    """What a packed stream holds, frame after frame."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._unpacking = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""
        self._held = memoryview(b"")

    def read(self, most: int) -> bytes:
        """
        Read on.

        Raises:
            ValueError: It is damaged, ends early, or needs more memory than any common level does.
        """
        while not self._held:
            packed = self._packed or self._source.read(_PIECE_BYTES)
            if not packed:
                if self._frame is not None:
                    raise ValueError("its Zstandard stream ends early")
                return b""
            self._held = memoryview(self._unpacked(packed))
        data, self._held = bytes(self._held[:most]), self._held[most:]
        return data

    def _unpacked(self, packed: bytes) -> bytes:
        frame = self._frame or self._unpacking.decompressobj()
        try:
            data = frame.decompress(packed)
        except zstandard.ZstdError as error:
            raise ValueError(f"its Zstandard stream is damaged: {error}") from error
        self._frame, self._packed = (None, frame.unused_data) if frame.eof else (frame, b"")
        return data
