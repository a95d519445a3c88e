"""Measures the image scaler against sharp, Pillow and libvips, side by side; `make bench` runs it.

The parts, from the ground up::

    workplace    where the bench keeps its files, and which machine it runs on
    spawn        a program that starts another and prints what it took (kept slim: see there)
    processes    a fresh process -> CPU, wall, peak memory, and what it printed
    pictures     test images: drawn, and photographs where IMAGE_CORPUS names some
    gallery      pictures of four kinds for judging encoders: photographs, drawings, documents, screenshots
    quality      how much of a picture is left in a rendition: SSIM against an unhurried reference
    scores       SSIMULACRA 2 by implementations that are not ours
    contestants/ one small program each: reads a file, makes its ladder, prints JSON
    ladders      every contestant on every picture, in turns
    copies       the copy path against get-then-put, on a local S3
    cold_start   a fresh process to its first rendition, against a bare boto3 client
    promise      `quality = "high"`: scores, bytes, CPU, on pictures that its curves were not fitted to
    curves       encoders' settings: bytes and CPU at one score
    charts, targets, report, promise_report   the numbers -> SVG, bench/RESULTS.md
"""
