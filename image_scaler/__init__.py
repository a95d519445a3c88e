"""Makes renditions of images uploaded to an S3 bucket.

The path of one event, in this order; each module knows only what comes after it::

    scaler         Scaler: handles every source of an event, keeps failure records, returns the response
    reconciler     brings the destination in line with the current source: write, remove, look again
    pipeline       one version of a source -> its renditions and its manifest; STEPS are the way
    versions       keys with a hash: found by listing, and marked if the manifest does not list them
    history        the recipes that were used, and the sources that were rejected
    announcements  what is told to others: renditions are ready, a source was rejected or removed
    upload         one version of a source, and what its own metadata asks for
    publisher      conditional writes: an older version never replaces a newer one
    manifest       the JSON manifest of a source
    responses      outcomes -> the response that each event source expects
    telemetry      a log line and metrics for each source
    outcomes       what was done for a source, and how long it took
    events         any AWS event -> source events
    settings       the environment -> Settings
    recipe_file    renditions.toml and the images of its overlays -> Recipe
    deadline       how long the function may still run
    exceptions     what can go wrong, and whether a retry may succeed

and three packages that they use::

    renditions/  WHAT to make of a source: pure, no I/O
    images/      HOW: bytes in, bytes out; the only users of libvips
    storage/     WHERE: the only users of boto3
"""
