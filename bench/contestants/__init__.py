"""The contestants: each is run as `PROGRAM [MODE] SOURCE FORMAT WIDTHS OUT`.

It reads the file SOURCE, makes one rendition in FORMAT (jpeg, webp, avif) for each of WIDTHS (`320,640`) in memory,
prints `{"wall_ms": ...}` for that work, and writes `<width>.<format>` to the folder OUT. With `-` for SOURCE it only
starts and ends. Every one turns images upright, converts them to sRGB, enlarges nothing and drops metadata; the
qualities are sharp's: 80, 80, and 50 for AVIF.
"""
