"""The template: what the stack is on AWS. Names and ARNs are compared as they come out there."""

import json
import subprocess
import sys
from fnmatch import fnmatchcase
from itertools import permutations
from pathlib import Path
from typing import cast

import pytest

from image_scaler.exceptions import ConfigError
from image_scaler.publisher import SUPERSEDED
from image_scaler.renditions.toml import parse_recipe
from tests.stack.packaging.conftest import (
    CERTIFICATE,
    DESTINATION_KEY,
    DISTRIBUTION,
    ORIGINS,
    OWN_RENDITIONS,
    SOURCE_KEY,
)
from tests.stack.packaging.packages import ACCOUNT, REGION, Package
from toolbox import stack

SOURCE = f"image-scaler-dev-source-{ACCOUNT}-{REGION}"
DESTINATION = f"image-scaler-dev-destination-{ACCOUNT}-{REGION}"
OWN_LOG_GROUP = "<ResizeLogGroup.Arn>"
"""Not all groups whose names begin with image-scaler-dev, of which stage dev2 has one."""
SUFFIXES = [
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".png", ".tif", ".tiff", ".webp"),
]
SPELLINGS = sorted([*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES), ".Jpeg", ".Jpg", ".Png"])
FILTERS = [{"S3Key": {"Rules": [{"Name": "suffix", "Value": suffix}]}} for suffix in SPELLINGS]

HARDENED = {
    "PublicAccessBlockConfiguration": {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    },
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "BucketEncryption": {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    },
    "VersioningConfiguration": {"Status": "Enabled"},
    "LifecycleConfiguration": {
        "Rules": [
            {
                "Id": "drop-broken-uploads",
                "Status": "Enabled",
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            },
            {
                "Id": "drop-replaced-objects",
                "Status": "Enabled",
                "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                "ExpiredObjectDeleteMarker": True,
            },
        ]
    },
}

HARDENED_WITHOUT_RULES = {name: value for name, value in HARDENED.items() if name != "LifecycleConfiguration"}

SUPERSEDED_RULE = {
    "Id": "drop-superseded-renditions",
    "Status": "Enabled",
    "TagFilters": [{"Key": SUPERSEDED, "Value": "true"}],
    "ExpirationInDays": 30,
}
"""The rule for replaced renditions with a hash in their key."""

FOLDERS = ("resized", "thumbnail", "web-*", "manifests", "recipes", "rejected")


def role_statements(package: Package) -> list[dict[str, object]]:
    """Return the statements of the function's role with lists in the place of single values."""
    policies = package.properties("IamRoleLambdaExecution")["Policies"]
    return [
        {key: value if key == "Effect" or isinstance(value, list) else [value] for key, value in statement.items()}
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def notifications(package: Package) -> list[dict[str, object]]:
    configuration = package.properties("S3BucketSource")["NotificationConfiguration"]
    assert configuration.keys() == {"LambdaConfigurations"}
    found: list[dict[str, object]] = configuration["LambdaConfigurations"]
    return found


def bucket_statements(package: Package, policy: str) -> list[dict[str, object]]:
    statements: list[dict[str, object]] = package.properties(policy)["PolicyDocument"]["Statement"]
    return statements


def test_the_role_may_do_exactly_this(arm64: Package) -> None:
    destination = f"arn:aws:s3:::{DESTINATION}"
    assert role_statements(arm64) == [
        {"Effect": "Allow", "Action": ["logs:CreateLogStream"], "Resource": [OWN_LOG_GROUP]},
        {"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": [OWN_LOG_GROUP]},
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{SOURCE}/*"]},
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{SOURCE}", destination],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
            "Resource": [f"{destination}/{folder}/*" for folder in FOLDERS],
        },
        {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": ["<RejectedQueue.Arn>"]},
        {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": ["<FailureQueue.Arn>"]},
    ]


def test_the_role_is_for_lambda_alone_and_has_no_managed_policies(arm64: Package) -> None:
    role = arm64.properties("IamRoleLambdaExecution")
    assert role["AssumeRolePolicyDocument"]["Statement"] == [
        {"Effect": "Allow", "Principal": {"Service": ["lambda.amazonaws.com"]}, "Action": ["sts:AssumeRole"]}
    ]
    assert "ManagedPolicyArns" not in role
    assert arm64.of_type("AWS::IAM::Role") == ["IamRoleLambdaExecution"]
    assert arm64.properties("ResizeLambdaFunction")["Role"] == "<IamRoleLambdaExecution.Arn>"


def test_the_role_may_write_every_rendition_of_renditions_toml_and_no_other_key(with_own_settings: Package) -> None:
    bucket = f"arn:aws:s3:::image-scaler-prod-destination-{ACCOUNT}-{REGION}"
    (allowed,) = (s["Resource"] for s in role_statements(with_own_settings) if "s3:PutObject" in s["Action"])
    patterns = [pattern.removeprefix(bucket + "/") for pattern in allowed]
    for key in parse_recipe(OWN_RENDITIONS).plan_for("holiday/a.jpg").keys:
        assert any(fnmatchcase(key, pattern) for pattern in patterns), key
    for other in ("a.jpg", "holiday/a.jpg", "resized/a.jpg", "img.jpg", "cards/small/a.jpg", "original/a.jpg"):
        assert not any(fnmatchcase(other, pattern) for pattern in patterns), other


def test_replaced_renditions_with_a_hash_in_their_key_are_tagged_and_a_rule_deletes_what_has_the_tag(
    arm64: Package, with_everything: Package
) -> None:
    assert arm64.of_type("AWS::IAM::Policy") == []
    (statement,) = with_everything.properties("TagsPolicy")["PolicyDocument"]["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": "s3:PutObjectTagging",
        "Resource": [f"arn:aws:s3:::{DESTINATION}/{keys}" for keys in ("img/*/*/*", "cards/*", "manifests/*")],
    }
    for package, days in ((arm64, 30), (with_everything, 7)):
        *others, superseded = package.properties("DestinationBucket")["LifecycleConfiguration"]["Rules"]
        assert others == cast(dict[str, object], HARDENED["LifecycleConfiguration"])["Rules"]
        assert superseded == SUPERSEDED_RULE | {"ExpirationInDays": days}


def test_the_function_may_tag_what_renditions_toml_gives_tags_to_and_nothing_else(with_own_settings: Package) -> None:
    (statement,) = with_own_settings.properties("TagsPolicy")["PolicyDocument"]["Statement"]
    bucket = f"image-scaler-prod-destination-{ACCOUNT}-{REGION}"
    assert statement == {
        "Effect": "Allow",
        "Action": "s3:PutObjectTagging",
        "Resource": [f"arn:aws:s3:::{bucket}/{keys}" for keys in ("originals/*", "card-*/*")],
    }


def test_the_function_may_send_events_to_the_default_bus_if_renditions_toml_asks_for_them(
    with_everything: Package,
) -> None:
    (statement,) = with_everything.properties("EventsPolicy")["PolicyDocument"]["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": "events:PutEvents",
        "Resource": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
    }


def test_batch_operations_get_a_role_if_they_are_asked_for(arm64: Package, with_everything: Package) -> None:
    assert "BatchOperationsRoleArn" not in arm64.outputs
    assert with_everything.outputs["BatchOperationsRoleArn"] == "<BatchOperationsRole.Arn>"
    role = with_everything.properties("BatchOperationsRole")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Principal"], trust["Condition"]) == (
        {"Service": "batchoperations.s3.amazonaws.com"},
        {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    )
    (policy,) = role["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "<ResizeLambdaFunction.Arn>"},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
            "Resource": f"arn:aws:s3:::{DESTINATION}/recipes/jobs/*",
        },
    ]


def test_only_the_source_bucket_of_this_account_may_invoke_the_function(arm64: Package) -> None:
    (permission,) = arm64.of_type("AWS::Lambda::Permission")
    assert arm64.properties(permission) == {
        "FunctionName": "<ResizeLambdaFunction.Arn>",
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
        "SourceArn": f"arn:aws:s3:::{SOURCE}",
        "SourceAccount": ACCOUNT,
    }
    assert permission in arm64.resources["S3BucketSource"]["DependsOn"]


def test_every_kind_of_upload_of_every_suffix_invokes_the_function_once(arm64: Package) -> None:
    found = notifications(arm64)
    assert {entry["Event"] for entry in found} == {"s3:ObjectCreated:*"}
    assert {entry["Function"] for entry in found} == {"<ResizeLambdaFunction.Arn>"}
    assert sorted((entry["Filter"] for entry in found), key=json.dumps) == FILTERS


def test_removals_of_the_same_suffixes_invoke_the_function_if_renditions_are_removed_with_their_source(
    with_removals: Package,
) -> None:
    found = notifications(with_removals)
    for event in ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"):
        assert sorted((entry["Filter"] for entry in found if entry["Event"] == event), key=json.dumps) == FILTERS
    assert len(found) == 3 * len(FILTERS) <= 100  # the limit of S3


def test_the_role_may_delete_renditions_only_if_they_are_removed_with_their_source(
    arm64: Package, with_removals: Package
) -> None:
    assert "s3:DeleteObject" not in str(role_statements(arm64))
    allowed, earlier = (s for s in role_statements(with_removals) if "s3:DeleteObject" in str(s["Action"]))
    assert all(f"{DESTINATION}/" in str(resource) for resource in cast(list[str], allowed["Resource"]))
    assert earlier["Action"] == ["s3:GetObject", "s3:DeleteObject"]
    assert earlier["Resource"] == [f"arn:aws:s3:::{DESTINATION}/*"]


def test_no_suffix_ends_in_another_which_s3_refuses() -> None:
    # Of two overlapping filters for one type of event S3 answers: "Configurations overlap".
    assert [pair for pair in permutations(SPELLINGS, 2) if pair[0].endswith(pair[1])] == []


def test_both_buckets_are_private_encrypted_versioned_and_cleaned_of_broken_uploads_and_old_versions(
    arm64: Package,
) -> None:
    source = dict(arm64.properties("S3BucketSource"))
    del source["NotificationConfiguration"]
    assert source == {"BucketName": SOURCE} | HARDENED
    destination = dict(arm64.properties("DestinationBucket"))
    del destination["LifecycleConfiguration"]
    assert destination == {"BucketName": DESTINATION} | HARDENED_WITHOUT_RULES


@pytest.mark.parametrize(
    ("policy", "bucket"), [("SourceBucketPolicy", SOURCE), ("DestinationBucketPolicy", DESTINATION)]
)
def test_both_buckets_refuse_anything_but_tls(arm64: Package, policy: str, bucket: str) -> None:
    assert arm64.properties(policy)["Bucket"] == bucket
    assert bucket_statements(arm64, policy) == [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


@pytest.mark.parametrize("bucket", ["S3BucketSource", "DestinationBucket"])
def test_removing_the_stack_keeps_both_buckets_but_a_failed_first_deployment_leaves_none(
    arm64: Package, bucket: str
) -> None:
    resource = arm64.resources[bucket]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_deployment_bucket_is_private(arm64: Package) -> None:
    bucket = arm64.properties("ServerlessDeploymentBucket")
    assert bucket == {name: HARDENED[name] for name in ("PublicAccessBlockConfiguration", "BucketEncryption")}
    (statement,) = bucket_statements(arm64, "ServerlessDeploymentBucketPolicy")
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": False}})


def test_a_failed_event_is_retried_twice_within_six_hours_then_goes_to_the_failure_queue(arm64: Package) -> None:
    (configuration,) = arm64.of_type("AWS::Lambda::EventInvokeConfig")
    assert arm64.properties(configuration) == {
        "FunctionName": "<ResizeLambdaFunction>",
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 6 * 60 * 60,
        "DestinationConfig": {"OnFailure": {"Destination": "<FailureQueue.Arn>"}},
    }


def test_the_queues_are_encrypted_and_keep_two_weeks(arm64: Package) -> None:
    assert arm64.of_type("AWS::SQS::Queue") == ["FailureQueue", "RejectedQueue"]
    for queue in ("FailureQueue", "RejectedQueue"):
        assert arm64.properties(queue) == {"SqsManagedSseEnabled": True, "MessageRetentionPeriod": 14 * 24 * 60 * 60}


def test_the_function_has_these_properties(arm64: Package) -> None:
    function = dict(arm64.properties("ResizeLambdaFunction"))
    del function["Code"]
    # No ReservedConcurrentExecutions: young accounts have ten in all, and AWS refuses to reserve of these.
    assert function == {
        "FunctionName": "image-scaler-dev-resize",
        "Description": "Makes renditions of images uploaded to the source bucket",
        "Handler": "handler.lambda_handler",
        "Runtime": "python3.13",
        "Architectures": ["arm64"],
        "MemorySize": 1792,
        "Timeout": 60,
        "Environment": {
            "Variables": {
                "SOURCE_BUCKET": SOURCE,
                "DESTINATION_BUCKET": DESTINATION,
                "SOURCE_BUCKET_OWNER": ACCOUNT,
                "DESTINATION_BUCKET_OWNER": ACCOUNT,
                "FAILURE_QUEUE_URL": "<FailureQueue>",
                "REJECTED_QUEUE_URL": "<RejectedQueue>",
                "ANY_SUFFIX": "false",
            }
        },
        "LoggingConfig": {"LogFormat": "JSON"},
        "Role": "<IamRoleLambdaExecution.Arn>",
        "Tags": [{"Key": "project", "Value": "image-scaler"}],
    }


def test_logs_are_kept_for_thirty_days_in_a_group_that_is_created_before_the_function(arm64: Package) -> None:
    (group,) = arm64.of_type("AWS::Logs::LogGroup")
    assert arm64.properties(group) == {"LogGroupName": "/aws/lambda/image-scaler-dev-resize", "RetentionInDays": 30}
    assert group in arm64.resources["ResizeLambdaFunction"]["DependsOn"]


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_function_runs_on_the_machine_that_its_zip_is_for(
    architecture: str, request: pytest.FixtureRequest
) -> None:
    package: Package = request.getfixturevalue(architecture)
    assert package.properties("ResizeLambdaFunction")["Architectures"] == [architecture]


def test_outputs_name_the_buckets_and_the_queues(arm64: Package) -> None:
    ours = {name: value for name, value in arm64.outputs.items() if not name.startswith("Serverless")}
    assert ours == {
        "SourceBucketName": SOURCE,
        "DestinationBucketName": DESTINATION,
        "FailureQueueUrl": "<FailureQueue>",
        "RejectedQueueUrl": "<RejectedQueue>",
        "FunctionName": "<ResizeLambdaFunction>",
        "Delivery": "s3",
        "AnySuffix": "false",
    }


def test_parameters_set_concurrency_memory_timeout_and_retention(with_own_settings: Package) -> None:
    function = with_own_settings.properties("ResizeLambdaFunction")
    assert function["ReservedConcurrentExecutions"] == 20
    assert (function["MemorySize"], function["Timeout"]) == (3538, 120)
    assert with_own_settings.properties("ResizeLogGroup")["RetentionInDays"] == 7


def test_the_stage_is_in_every_name(with_own_settings: Package) -> None:
    assert with_own_settings.outputs["SourceBucketName"] == f"image-scaler-prod-source-{ACCOUNT}-{REGION}"
    assert with_own_settings.outputs["DestinationBucketName"] == f"image-scaler-prod-destination-{ACCOUNT}-{REGION}"
    assert with_own_settings.properties("ResizeLambdaFunction")["FunctionName"] == "image-scaler-prod-resize"
    assert "image-scaler-dev" not in with_own_settings.template_path.read_text()


def test_an_existing_source_bucket_gets_notifications_and_is_not_created(with_existing_bucket: Package) -> None:
    made = with_existing_bucket.of_type("AWS::S3::Bucket")
    assert made == ["ServerlessDeploymentBucket", "DestinationBucket"]
    policies = with_existing_bucket.of_type("AWS::S3::BucketPolicy")
    assert policies == ["ServerlessDeploymentBucketPolicy", "DestinationBucketPolicy"]
    (listener,) = with_existing_bucket.of_type("Custom::S3")
    settings = with_existing_bucket.properties(listener)
    assert (settings["BucketName"], settings["FunctionName"]) == ("my-uploads", "image-scaler-dev-resize")
    assert sorted(settings["BucketConfigs"], key=json.dumps) == [
        {"Event": "s3:ObjectCreated:*", "Rules": [{"Suffix": suffix}]} for suffix in SPELLINGS
    ]


def test_an_existing_source_bucket_is_the_one_that_the_function_knows_and_may_read(
    with_existing_bucket: Package,
) -> None:
    variables = with_existing_bucket.properties("ResizeLambdaFunction")["Environment"]["Variables"]
    assert variables["SOURCE_BUCKET"] == with_existing_bucket.outputs["SourceBucketName"] == "my-uploads"
    # S3 verifies that the notification and the bucket are of one account.
    assert variables["DESTINATION_BUCKET_OWNER"] == variables["SOURCE_BUCKET_OWNER"] == ACCOUNT
    reads = [s for s in role_statements(with_existing_bucket) if s["Action"] in (["s3:GetObject"], ["s3:ListBucket"])]
    destination = f"arn:aws:s3:::{DESTINATION}"
    assert [s["Resource"] for s in reads] == [["arn:aws:s3:::my-uploads/*"], ["arn:aws:s3:::my-uploads", destination]]


def test_an_existing_destination_bucket_is_used_and_not_created(with_existing_buckets: Package) -> None:
    assert with_existing_buckets.of_type("AWS::S3::Bucket") == ["ServerlessDeploymentBucket"]
    assert with_existing_buckets.of_type("AWS::S3::BucketPolicy") == ["ServerlessDeploymentBucketPolicy"]
    variables = with_existing_buckets.properties("ResizeLambdaFunction")["Environment"]["Variables"]
    assert variables["DESTINATION_BUCKET"] == with_existing_buckets.outputs["DestinationBucketName"] == "readers"
    written = [s["Resource"] for s in role_statements(with_existing_buckets) if "s3:PutObject" in str(s["Action"])]
    assert all(str(arn).startswith("arn:aws:s3:::readers/") for arns in written for arn in cast(list[str], arns))


def test_kms_keys_are_usable_only_if_they_are_given_and_only_through_s3(
    arm64: Package, with_existing_buckets: Package
) -> None:
    assert "kms:" not in json.dumps(arm64.resources)
    found = {
        name: with_existing_buckets.properties(name)["PolicyDocument"]["Statement"]
        for name in with_existing_buckets.of_type("AWS::IAM::Policy")
    }
    through_s3 = {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}
    assert found == {
        "SourceKmsPolicy": [
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": SOURCE_KEY, "Condition": through_s3}
        ],
        "DestinationKmsPolicy": [
            {
                "Effect": "Allow",
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": DESTINATION_KEY,
                "Condition": through_s3,
            }
        ],
    }


def test_the_destination_bucket_is_encrypted_with_a_given_key(with_own_settings: Package) -> None:
    (rule,) = with_own_settings.properties("DestinationBucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "BucketKeyEnabled": True,
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": DESTINATION_KEY},
    }


def test_nobody_reads_renditions_by_default(arm64: Package) -> None:
    assert len(bucket_statements(arm64, "DestinationBucketPolicy")) == 1


def test_only_a_given_distribution_reads_renditions(with_a_distribution: Package) -> None:
    tls, *statements = bucket_statements(with_a_distribution, "DestinationBucketPolicy")
    assert tls["Effect"] == "Deny"
    for statement in statements:
        assert statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        assert statement["Action"] == "s3:GetObject"
        assert statement["Condition"] == {"StringEquals": {"aws:SourceArn": [DISTRIBUTION]}}


def test_the_stacks_own_distribution_reads_what_a_given_one_reads(
    with_a_distribution: Package, with_a_cdn: Package, with_pages: Package
) -> None:
    own = f"arn:aws:cloudfront::{ACCOUNT}:distribution/<Distribution>"
    given = bucket_statements(with_a_distribution, "DestinationBucketPolicy")
    for package, readers in ((with_a_cdn, [own]), (with_pages, [DISTRIBUTION, own])):
        text = json.dumps(bucket_statements(package, "DestinationBucketPolicy"))
        assert json.loads(text.replace(json.dumps(readers), json.dumps([DISTRIBUTION]))) == given
    assert with_a_cdn.outputs["DistributionArn"] == own


def test_the_distribution_signs_its_requests_redirects_to_https_and_repeats_no_not_yet(with_a_cdn: Package) -> None:
    config = with_a_cdn.properties("Distribution")["DistributionConfig"]
    (origin,) = config["Origins"]
    assert origin["DomainName"] == f"{DESTINATION}.s3.{REGION}.amazonaws.com"
    assert origin["OriginAccessControlId"] == "<DistributionAccess.Id>"
    control = with_a_cdn.properties("DistributionAccess")["OriginAccessControlConfig"]
    assert (control["SigningBehavior"], control["SigningProtocol"]) == ("always", "sigv4")
    assert config["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "redirect-to-https"
    assert "AllowedMethods" not in config["DefaultCacheBehavior"]  # GET and HEAD
    assert {error["ErrorCode"]: error["ErrorCachingMinTTL"] for error in config["CustomErrorResponses"]} == {
        403: 0,
        404: 0,
    }
    cache = with_a_cdn.properties("DistributionCache")["CachePolicyConfig"]
    assert cache["MinTTL"] == 0  # manifests say no-cache


def test_the_distribution_of_an_existing_bucket_is_for_its_owner_to_allow(with_existing_buckets: Package) -> None:
    (origin,) = with_existing_buckets.properties("Distribution")["DistributionConfig"]["Origins"]
    assert origin["DomainName"] == f"readers.s3.{REGION}.amazonaws.com"
    assert with_existing_buckets.of_type("AWS::S3::BucketPolicy") == ["ServerlessDeploymentBucketPolicy"]
    assert (
        with_existing_buckets.outputs["DistributionArn"] == f"arn:aws:cloudfront::{ACCOUNT}:distribution/<Distribution>"
    )


def test_the_distribution_has_the_given_name_and_certificate(with_a_cdn: Package, with_pages: Package) -> None:
    unnamed, named = (one.properties("Distribution")["DistributionConfig"] for one in (with_a_cdn, with_pages))
    assert not {"Aliases", "ViewerCertificate"} & unnamed.keys()
    assert named["Aliases"] == ["images.example.com"]
    assert named["ViewerCertificate"] == {
        "AcmCertificateArn": CERTIFICATE,
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }


def test_the_distribution_lets_only_pages_of_given_origins_fetch_manifests(
    with_a_cdn: Package, with_pages: Package
) -> None:
    closed, opened = (
        one.properties("DistributionHeaders")["ResponseHeadersPolicyConfig"] for one in (with_a_cdn, with_pages)
    )
    assert "CorsConfig" not in closed
    cors = opened["CorsConfig"]
    assert cors["AccessControlAllowOrigins"]["Items"] == ORIGINS.split(",")
    assert cors["AccessControlAllowMethods"]["Items"] == ["GET", "HEAD"]
    assert cors["AccessControlAllowCredentials"] is False


def test_given_origins_may_upload_see_the_etag_and_read_nothing(arm64: Package, with_pages: Package) -> None:
    assert "CorsConfiguration" not in arm64.properties("S3BucketSource")
    (rule,) = with_pages.properties("S3BucketSource")["CorsConfiguration"]["CorsRules"]
    assert rule == {
        "AllowedMethods": ["PUT", "POST"],
        "AllowedOrigins": ORIGINS.split(","),
        "AllowedHeaders": ["*"],
        "ExposedHeaders": ["ETag"],
        "MaxAge": 3600,
    }


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (
            ["uploadOrigins=https://a.example", "existingSourceBucket=b"],
            "uploadOrigins needs a source bucket of the stack",
        ),
        (["cdn=true", "cdnDomain=images.example.com"], "cdnDomain and cdnCertificate need each other"),
    ],
)
def test_parameters_that_cannot_have_their_effect_are_refused(parameters: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        stack.resolved("dev", parameters)


def test_given_origins_may_read_across_domains(arm64: Package, with_own_settings: Package) -> None:
    assert "CorsConfiguration" not in arm64.properties("DestinationBucket")
    (rule,) = with_own_settings.properties("DestinationBucket")["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedMethods"] == ["GET", "HEAD"]
    assert rule["AllowedOrigins"] == ORIGINS.split(",")


def test_replaced_objects_are_kept_as_long_as_is_asked_for(with_own_settings: Package) -> None:
    for bucket in ("S3BucketSource", "DestinationBucket"):
        _, replaced, *_ = with_own_settings.properties(bucket)["LifecycleConfiguration"]["Rules"]
        assert {name: int(days) for name, days in replaced["NoncurrentVersionExpiration"].items()} == {
            "NoncurrentDays": 3
        }


@pytest.mark.parametrize("queue", ["FailureQueue", "RejectedQueue"])
def test_the_queues_refuse_anything_but_tls(arm64: Package, queue: str) -> None:
    policy = arm64.properties(f"{queue}Policy")
    assert policy["Queues"] == [f"<{queue}>"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Deny", "sqs:*", f"<{queue}.Arn>")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_deployments_leave_no_versions_of_the_function(arm64: Package) -> None:
    assert arm64.of_type("AWS::Lambda::Version") == []


def test_cfn_lint_has_no_warnings(
    arm64: Package,
    with_own_settings: Package,
    with_event_bridge: Package,
    with_buffer: Package,
    with_everything: Package,
    with_a_cdn: Package,
    with_pages: Package,
) -> None:
    packages = (arm64, with_own_settings, with_event_bridge, with_buffer, with_everything, with_a_cdn, with_pages)
    assert linted(*packages) == []


def test_cfn_lint_has_only_harmless_warnings_about_an_existing_bucket(
    with_existing_bucket: Package, with_everything_between: Package
) -> None:
    assert set(linted(with_existing_bucket, with_everything_between)) == {
        "W3005 DependsOn",  # sls writes out dependencies that CloudFormation finds by itself
    }


def linted(*packages: Package) -> list[str]:
    lint = Path(sys.executable).with_name("cfn-lint")
    command = [lint, "--format", "json", *(package.template_path for package in packages)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.startswith("["), run.stdout + run.stderr
    found = json.loads(run.stdout)
    return sorted(
        f"{finding['Rule']['Id']} {[part for part in finding['Location']['Path'] if isinstance(part, str)][-1]}"
        for finding in found
    )
