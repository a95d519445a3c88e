"""A given CloudFront distribution in front of the destination bucket, asked through the local AWS's edge."""

import http.client
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit

import pytest

from image_scaler.renditions.spec import CopyTarget
from image_scaler.renditions.toml import parse_recipe
from tests.stack.packaging.conftest import DISTRIBUTION, READER_RENDITIONS
from tests.stack.packaging.packages import ROOT, Package
from tests.stack.packaging.test_template import DESTINATION
from toolbox.local.aws import LocalAws

SOURCE_KEY = "holiday/a b.jpg"
LISTS = ("recipes/manifests.jsonl.gz", "recipes/jobs/1/sources.csv", "recipes/0123456789abcdef.json")
"""What `image-scaler plan` and `apply` write: lists that name every source."""


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws.launch() as aws:
        aws.client("s3").create_bucket(Bucket=DESTINATION)
        yield aws


@pytest.fixture(scope="module")
def status(aws: LocalAws) -> Callable[[Package, str], int]:
    """Returns the status with which the edge answers for an object, under the bucket policy of a package."""
    cloudfront, s3 = aws.client("cloudfront"), aws.client("s3")
    control = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": "images",
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]
    origin = {
        "Id": "destination",
        "DomainName": f"{DESTINATION}.s3.us-east-1.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
        "OriginAccessControlId": control["Id"],
    }
    distribution = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": control["Id"],
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {
                "TargetOriginId": "destination",
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",  # AWS's own that caches nothing
            },
        }
    )["Distribution"]

    def ask(package: Package, key: str) -> int:
        policy = json.dumps(package.properties("DestinationBucketPolicy")["PolicyDocument"])
        s3.put_bucket_policy(Bucket=DESTINATION, Policy=policy.replace(DISTRIBUTION, distribution["ARN"]))
        s3.put_object(Bucket=DESTINATION, Key=key, Body=b"x")
        connection = http.client.HTTPConnection(urlsplit(aws.env["AWS_ENDPOINT_URL"]).netloc, timeout=10)
        connection.request("GET", f"/{quote(key)}", headers={"Host": distribution["DomainName"]})
        answer = connection.getresponse().status
        connection.close()
        return answer

    return ask


def test_it_reads_every_rendition_every_manifest_and_every_record_of_a_rejection(
    status: Callable[[Package, str], int], with_a_reader: Package, with_a_distribution: Package
) -> None:
    shipped = (ROOT / "renditions.toml").read_text(encoding="utf-8")
    for package, text in ((with_a_reader, READER_RENDITIONS), (with_a_distribution, shipped)):
        plan = parse_recipe(text).plan_for(SOURCE_KEY).of_version("0123456789abcdef")
        scaled = [target.key for target in plan.targets if not isinstance(target, CopyTarget)]
        for key in (*scaled, f"manifests/{SOURCE_KEY}.json", f"rejected/{SOURCE_KEY}.json"):
            assert status(package, key) == 200, key


@pytest.mark.parametrize("key", [*LISTS, f"resized/{SOURCE_KEY}", SOURCE_KEY])
def test_it_reads_no_list_of_sources_no_copy_and_nothing_else(
    status: Callable[[Package, str], int], with_a_distribution: Package, key: str
) -> None:
    assert status(with_a_distribution, key) == 403


@pytest.mark.parametrize("key", ["img/copies/a.jpg", "img/copies/123456789/640/avif/a.jpg.avif", *LISTS])
def test_no_pattern_of_a_rendition_gives_it_a_copy_or_a_list(
    status: Callable[[Package, str], int], with_a_reader: Package, key: str
) -> None:
    assert status(with_a_reader, key) == 403


def test_it_reads_copies_if_it_is_asked_for(status: Callable[[Package, str], int], with_copies_read: Package) -> None:
    assert status(with_copies_read, f"resized/{SOURCE_KEY}") == 200
    assert status(with_copies_read, LISTS[0]) == 403
