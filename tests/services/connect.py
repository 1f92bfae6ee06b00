"""Kafka Connect with Debezium's connector for PostgreSQL: the other way out of the outbox."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.services.kafka import KAFKA, QUICK_COMPILER
from tests.services.service import Server, Service, ServiceError

POM = Path(__file__).with_name("connect-pom.xml")
CONNECTOR = "debezium-connector-postgres"
# One worker that keeps nothing but its offsets. Its converters are those of no connector that is tested.
PROPERTIES = """\
bootstrap.servers={kafka}
listeners=http://{host}:{port}
plugin.path={plugins}
plugin.discovery=service_load
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
offset.storage.file.filename={data}/offsets
offset.flush.interval.ms=200
config.providers=file
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
"""


class Debezium(Service):
    """Have Debezium's connector on the machine; nothing keeps running."""

    name = "debezium"
    packages = KAFKA.packages

    def __init__(self) -> None:
        """Put the plugin beside Kafka's jars, which run it."""
        self.plugins = KAFKA.directory.parent / self.name
        self.address = str(self.plugins)
        self._stamp = self.plugins / POM.name

    def version(self) -> str | None:
        """Read it from the connector's own file, unless another one is wanted by now."""
        if not self._stamp.exists() or self._stamp.read_bytes() != POM.read_bytes():
            return None
        found = [jar.stem.removeprefix(f"{CONNECTOR}-") for jar in self.plugins.glob(f"*/{CONNECTOR}-*.jar")]
        return found[0] if found else None

    def install(self) -> None:
        """Install Java and Maven, and let Maven fetch and unpack the plugin."""
        super().install()
        shutil.rmtree(self.plugins, ignore_errors=True)
        markers = self.plugins / "markers"  # by default they would be in the work tree
        goal = ["dependency:unpack-dependencies", f"-DoutputDirectory={self.plugins}", f"-DmarkersDirectory={markers}"]
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(POM), *goal], capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            raise ServiceError(f"Maven could not resolve {POM.name}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        # Not plugins: what Maven has done, and the archive's extended attributes.
        for rest in (markers, self.plugins / "PaxHeaders.X"):
            shutil.rmtree(rest, ignore_errors=True)
        shutil.copyfile(POM, self._stamp)


DEBEZIUM = Debezium()


class Connect(Server):
    """Run a worker of Kafka Connect; `url` is its REST API, which is given connectors and asked about them."""

    name = "connect"
    packages = KAFKA.packages
    port_variable = "DLQ_CONNECT_PORT"
    default_port = 58083
    start_seconds = 90

    @property
    def url(self) -> str:
        """Return the address of the REST API."""
        return f"http://{self.host}:{self.port}"

    def version(self) -> str | None:
        """Ask the worker itself."""
        try:
            return str(self.ask("")["version"])
        except (OSError, HTTPException, ServiceError, ValueError, KeyError, TypeError):
            return None  # ServiceError: for a second it answers before it knows its own paths

    def ask(self, path: str, body: Mapping[str, Any] | None = None, *, method: str | None = None) -> Any:
        """Send a request to the worker, a POST if there is a body, and return what it answers, if anything."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/{path}", data, {"Content-Type": "application/json"}, method=method)
        try:
            with urlopen(request, timeout=30) as response:
                return json.loads(response.read() or "null")
        except HTTPError as error:
            raise ServiceError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from error

    def command(self) -> Sequence[str]:
        """Write the worker's configuration and return its command line."""
        facts = {"kafka": KAFKA.url, "host": self.host, "port": self.port, "data": self.data}
        properties = self.directory / "worker.properties"
        properties.write_text(PROPERTIES.format(plugins=DEBEZIUM.plugins, **facts))
        java = KAFKA.java("-Xms128m", "-Xmx256m", QUICK_COMPILER)
        return [*java, "org.apache.kafka.connect.cli.ConnectStandalone", str(properties)]

    def create(self, data: Path) -> None:
        """Make a place for the offsets."""
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
