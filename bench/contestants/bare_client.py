"""The least that a function with S3 does at its cold start."""

import boto3

boto3.client("s3")
