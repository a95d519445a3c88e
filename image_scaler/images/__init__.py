"""Image bytes in, image bytes out: the only users of libvips; nothing here knows of S3."""
