"""Writes an 8-bit RGB PNG (no imaging library needed)."""

import struct
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def save_png(pixels, path):
    """pixels: uint8 tensor (h, w, 3)."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.contiguous().numpy().tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))
