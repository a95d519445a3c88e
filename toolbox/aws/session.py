"""Sessions with AWS: the region and the credentials of every command."""

import os
import sys

import boto3
import botocore.session
from botocore.config import Config

from toolbox.aws.errors import call_errors

DEFAULT_REGION = "us-east-1"
QUICK = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2})
"""For the first request of a command: fail fast without credentials or a network."""
PRESIGNING = Config(
    signature_version="s3v4", s3={"addressing_style": "virtual"}, request_checksum_calculation="when_required"
)
"""For URLs that others use: of the bucket's own region, and without a checksum that they would have to send.

By default boto3 signs for bucket.s3.amazonaws.com, which redirects requests for a new bucket of another region. A page
cannot follow such a redirect.
"""


def open_session(region: str | None = None) -> boto3.Session:
    """Return a session in the region, and with the credentials, that sls would deploy with.

    The region is the given one, AWS_REGION, AWS_DEFAULT_REGION, or that of the AWS profile; else us-east-1, and a note
    on stderr says so. Raises CallError if the profile does not exist.
    """
    with call_errors("read the AWS profile"):
        # sls prefers AWS_PROFILE to AWS_DEFAULT_PROFILE and to keys in the environment; botocore prefers both to it.
        found = botocore.session.Session(profile=os.environ.get("AWS_PROFILE"))
        region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        region = region or found.get_scoped_config().get("region")
        if not region:
            sys.stderr.write(f"Note: no AWS region is set: using {DEFAULT_REGION}. Set AWS_REGION, or pass --region.\n")
        return boto3.Session(botocore_session=found, region_name=region or DEFAULT_REGION)


def account_of(session: boto3.Session) -> str:
    """Return the account that the credentials are of; raises CallError if there are none or AWS refuses them."""
    with call_errors("find out which AWS account the credentials are of (set AWS_PROFILE, or run aws configure)"):
        return session.client("sts", config=QUICK).get_caller_identity()["Account"]
