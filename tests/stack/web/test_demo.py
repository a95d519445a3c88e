"""`image-scaler demo` in a process, as a user starts it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

PROGRAM = Path(sys.executable).with_name("image-scaler")


@pytest.mark.aws
def test_it_serves_the_page_until_ctrl_c_and_leaves_nothing_running() -> None:
    with subprocess.Popen(
        [str(PROGRAM), "demo"], stdout=subprocess.PIPE, env=os.environ | {"LOCAL_PORT": "4599"}
    ) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if found := re.search(rb"Open (http://127\.0\.0\.1:\d+/) and drop photos", line):
                break
        else:
            pytest.fail("it printed no address")
        page = urllib3.request("GET", found[1].decode(), retries=False)
        images = urllib3.request("GET", f"{found[1].decode()}images.json", retries=False).json()
        assert b"Drop photos here" in page.data
        assert urllib3.util.parse_url(images).host.endswith(".cloudfront.localhost")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    for address in (found[1].decode(), images.replace(urllib3.util.parse_url(images).host, "127.0.0.1")):
        with pytest.raises(urllib3.exceptions.HTTPError):
            urllib3.request("GET", address, retries=False)
