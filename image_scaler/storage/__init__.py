"""Where objects and failure records are kept: the only users of boto3."""
