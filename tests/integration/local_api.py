"""Run by the SAM CLI's own Python: SAM's API Gateway of a template, in front of an emulator.

Usage: local_api.py TEMPLATE PORT URL

What `sam local start-api` does, without its containers: the template is read, the routes, binary
types and events are made and the answers are parsed by SAM; the events go to URL, where the
Runtime Interface Emulator runs already.
"""

import sys
import threading
import urllib.error
import urllib.request

from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
from samcli.lib.utils.stream_writer import StreamWriter
from samcli.local.apigw.local_apigw_service import LocalApigwService


class Runner:
    """Stands where SAM keeps its containers; one event at a time, as the emulator needs it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()

    def is_debugging(self) -> bool:
        """Return False: SAM's server is to have threads."""
        return False

    def invoke(
        self,
        function: str,
        event: str,
        stdout: StreamWriter,
        stderr: StreamWriter | None = None,
        tenant_id: str | None = None,
    ) -> None:
        """Write what the function answers; SAM reads the text, whatever status it came with."""
        with self._lock:
            try:
                with urllib.request.urlopen(self._url, event.encode(), timeout=60) as answer:
                    found = answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    found = error.read()
        stdout.write_str(found.decode())


def main(template: str, port: str, url: str) -> None:
    """Serve the template's API until SIGTERM."""
    stacks, remote = SamLocalStackProvider.get_stacks(template)
    if remote:
        raise ValueError(f"stacks elsewhere: {remote}")
    api = ApiProvider(stacks).api
    service = LocalApigwService(api, Runner(url), port=int(port), host="127.0.0.1")
    service.create()
    service.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
