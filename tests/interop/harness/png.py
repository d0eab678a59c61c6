# SPDX-License-Identifier: Apache-2.0
"""Just enough PNG to tell a picture of a page from a blank one."""

import struct
import zlib

from .proc import Failure

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def _pixels(path):
    """Width, height, bytes per pixel, and the rows without their filters."""
    with open(path, "rb") as source:
        data = source.read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise Failure("the screenshot is no PNG")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
    if depth != 8 or colour not in CHANNELS or interlace:
        raise Failure(f"the screenshot's PNG is of a kind not read here: depth {depth}, colour type {colour}")
    packed, at = b"", 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + size]
        at += 12 + size
    return width, height, CHANNELS[colour], zlib.decompress(packed)


def _paeth(a, b, c):
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def _unfilter(kind, row, above, step):
    if kind == 0:
        return row
    if kind == 2:
        return bytearray((x + b) & 255 for x, b in zip(row, above))
    for i, x in enumerate(row):
        a = row[i - step] if i >= step else 0
        c = above[i - step] if i >= step else 0
        add = {1: a, 3: (a + above[i]) >> 1, 4: _paeth(a, above[i], c)}[kind]
        row[i] = (x + add) & 255
    return row


def check_not_blank(path, least=20):
    """Fails unless the picture has at least 500 pixels that differ from its corner, on |least| rows or more."""
    width, height, step, raw = _pixels(path)
    above = bytearray(width * step)
    corner, inked, rows = None, 0, 0
    for y in range(height):
        at = y * (width * step + 1)
        row = _unfilter(raw[at], bytearray(raw[at + 1:at + 1 + width * step]), above, step)
        above = row
        corner = bytes(row[:step]) if corner is None else corner
        if row != corner * width:
            count = sum(row[i:i + step] != corner for i in range(0, len(row), step))
            inked += count
            rows += count > 0
    if inked < 500 or rows < least:
        raise Failure(f"the screenshot is blank: {inked} pixels on {rows} rows differ from the background")
