"""Makes renditions of images uploaded to an S3 bucket.

The parts, from the ground up; each knows only those above it::

    exceptions   what can go wrong, and whether a retry may mend it
    geometry     sizes and crops: arithmetic only
    store        where objects are kept: ObjectRef, the ObjectStore protocol
    limits       what a source may cost
    globs        which keys a pattern means
    renditions   what to make of a source, and under which key
    config       renditions.toml and the environment -> Settings
    events       any event -> source references
    credits      who made an image: the metadata that stays
    profiles     what a colour profile says, by its numbers
    stripping    image bytes without metadata, the pixels as they are: by stripping_avif, stripping_gif,
                 stripping_jpeg, stripping_png, stripping_webp
    decoding     image bytes -> pixels          \
    encoding     pixels -> image bytes           | the only users of libvips
    imaging      image bytes -> renditions      /
    publishing   write a rendition so that old never replaces new
    measuring    what processing one source took: bytes, and the time of each stage
    answers      what is answered to whoever sent an event
    failures     what is kept of a source that could not be processed
    placeholders what a page shows of an image before it is there: its ThumbHash, its dominant colour
    manifest     what was made of a source, for a web page to use
    writing      one version of a source -> its renditions and its manifest in the destination
    upkeep       make the destination what the source says: write, remove, repair
    service      Scaler: every source of an event is settled, and nothing that went wrong is lost
    s3, sqs      the stores on AWS (the only users of boto3), plugged in by handler.py
    telemetry    a line of the log and metrics for each upload (the only user of Powertools), plugged in as well
"""
