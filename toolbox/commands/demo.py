"""`image-scaler demo`: the page of examples/page, with a local AWS behind it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console

from toolbox.commands.up import wanted_port
from toolbox.local.aws import LocalAws, LocalAwsError
from toolbox.processes import signals_as_exit
from toolbox.progress import Steps
from toolbox.stack import ROOT

PAGE = ROOT / "examples" / "page"
ORIGINS = "http://127.0.0.1:*"
PARAMETERS = ("cdn=true", f"corsOrigins={ORIGINS}", f"uploadOrigins={ORIGINS}")
SIGNER = "signer"

out = Console(highlight=False, soft_wrap=True)


def demo(port: int) -> int:
    """Serve the page until Ctrl-C; return 0. Raises LocalAwsError."""
    with (
        signals_as_exit(),
        LocalAws.start(port=wanted_port(), params=PARAMETERS, step=Steps(out)) as aws,
        serving(aws, port) as (address, server),
    ):
        out.print(f"\nOpen {address} and drop photos. Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):
            server.wait()
    return 0


@contextmanager
def serving(aws: LocalAws, port: int = 0) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the example's backend, with the least rights; yield the address of its page, and its process.

    `port` is one of 127.0.0.1; 0 means any free one.
    """
    with subprocess.Popen(
        [sys.executable, str(PAGE / "backend.py"), str(port)],
        env=os.environ | aws.env | signer(aws) | {"IMAGES": images_address(aws)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a line for each request
        text=True,
    ) as server:
        try:
            assert server.stdout  # noqa: S101  it is a pipe
            address = server.stdout.readline().strip()
            if not address:
                raise LocalAwsError(f"cannot serve the page: port {port} of 127.0.0.1 is in use")
            yield address, server
        finally:
            server.terminate()


def images_address(aws: LocalAws) -> str:
    """Return the address at which a browser on this machine reaches the stack's distribution."""
    label = aws.outputs["DistributionDomain"].partition(".")[0]
    return f"http://{label}.cloudfront.localhost:{aws.env['AWS_ENDPOINT_URL'].rpartition(':')[2]}/"


def signer(aws: LocalAws) -> dict[str, str]:
    """Create a user who may do no more than sign uploads; return the environment variables with its keys."""
    iam = aws.client("iam")
    policy = (PAGE / "signer.json").read_text(encoding="utf-8").replace("SOURCE_BUCKET", aws.env["SOURCE_BUCKET"])
    iam.create_user(UserName=SIGNER)
    iam.put_user_policy(UserName=SIGNER, PolicyName="uploads", PolicyDocument=policy)
    key = iam.create_access_key(UserName=SIGNER)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
