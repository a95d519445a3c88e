"""Makes renditions of images uploaded to an S3 bucket.

The parts, from the ground up; each knows only those above it::

    exceptions   what can go wrong, and whether a retry may mend it
    geometry     sizes and crops: arithmetic only
    store        where objects are kept: ObjectRef, the ObjectStore protocol
    renditions   what to make of a source, and under which key
    config       renditions.toml and the environment -> Settings
    events       any event -> source references
    imaging      image bytes -> renditions (the only user of pyvips)
    failures     what is kept of a source that could not be processed
    service      Scaler: fetch, render, publish, report
    s3, sqs      the stores on AWS (the only users of boto3), plugged in by handler.py
"""
