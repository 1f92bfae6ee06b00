"""Apache Kafka itself: one broker that is its own controller (KRaft), from the jars that Maven resolves."""

import base64
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.services import kafka_wire
from tests.services.service import Server, ServiceError

POM = Path(__file__).with_name("kafka-pom.xml")
QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
"""For what lives for a minute at most: it would spend longer on compiling well than it gains by that."""
LOGGING = """\
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.target=SYSTEM_ERR
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
"""
# The controller takes a broker back only when the session of the one that was killed is over: 4 s instead of 9.
# A member that was killed is missed after a second, in groups of KIP-848 too, whose members cannot ask for that.
# Users' tests publish to fresh topics, so a topic is made on first use, and groups must not wait to form.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers={host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
auto.create.topics.enable=true
num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=200
group.consumer.heartbeat.interval.ms=200
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class Kafka(Server):
    """Run a real broker; `url` is what a client calls bootstrap.servers."""

    name = "kafka"
    packages = {"default-jdk-headless": "javac", "maven": "mvn"}
    port_variable = "DLQ_KAFKA_PORT"
    default_port = 59092
    # It opens the log of each partition first, and those of days of test runs are thousands.
    start_seconds = 300

    def __init__(self) -> None:
        """Put the controller's port beside the broker's."""
        super().__init__()
        self.controller_port = self.port + 1
        self.jars = self.directory / "lib"
        self.properties = self.directory / "server.properties"
        self.logging = self.directory / "log4j2.properties"
        self.options = ["-Xms256m", "-Xmx512m"]

    @property
    def url(self) -> str:
        """Return the bootstrap server."""
        return f"{self.host}:{self.port}"

    def version(self) -> str | None:
        """Ask for the cluster's metadata; the jars tell the version, since the protocol does not."""
        try:
            brokers = kafka_wire.brokers(self.host, self.port)
        except OSError:
            return None
        if not brokers:  # it talks, but the controller has not let it in yet
            return None
        found = [jar.stem.removeprefix("kafka-clients-") for jar in self.jars.glob("kafka-clients-*.jar")]
        return found[0] if found else "of unknown version"

    def install(self) -> None:
        """Install Java and Maven, and resolve the jars unless exactly these are there."""
        super().install()
        stamp = self.jars / POM.name
        if stamp.exists() and stamp.read_bytes() == POM.read_bytes():
            return
        shutil.rmtree(self.jars, ignore_errors=True)
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={self.jars}"]
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(POM), *goal], capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            raise ServiceError(f"Maven could not resolve {POM.name}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        shutil.copyfile(POM, stamp)

    def command(self) -> Sequence[str]:
        """Write the configuration, which may have changed since, and return the broker's command line."""
        self._configure(self.data)
        return [*self.java(*self.options), "kafka.Kafka", str(self.properties)]

    def create(self, data: Path) -> None:
        """Format the storage of a new one-node cluster."""
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        self._configure(data)
        # Begins with a letter: a leading dash would be read as an option.
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        arguments = ["format", "--standalone", "-t", cluster, "-c", str(self.properties)]
        self.tool("kafka.tools.StorageTool", *arguments)

    def java(self, *options: str) -> list[str]:
        """Begin a command line with all of Kafka's classes."""
        fixed = ["-XX:+UseSerialGC", "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={self.logging}"]
        return ["java", *options, *fixed, "-cp", f"{self.jars}/*"]

    def tool(self, main: str, *arguments: str, stdin: bytes = b"", timeout: float = 60) -> bytes:
        """Run one of Kafka's own command line tools and return what it printed."""
        command = [*self.java("-Xmx256m", QUICK_COMPILER), main, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False)
        if done.returncode:
            said = (done.stdout[-2000:] + done.stderr[-2000:]).decode(errors="replace")
            raise ServiceError(f"{main} {' '.join(arguments)} failed:\n{said}")
        return done.stdout

    def _configure(self, data: Path) -> None:
        """Write the broker's two configuration files."""
        self.logging.write_text(LOGGING)
        facts = {"host": self.host, "port": self.port, "controller_port": self.controller_port, "data": data}
        self.properties.write_text(PROPERTIES.format(**facts))


KAFKA = Kafka()


def console_consumer(topic: str, *arguments: str, timeout: float = 10) -> bytes:
    r"""Read a topic from its beginning with Kafka's ConsoleConsumer and return what it printed.

    It ends after `timeout` seconds without a message; pass `--max-messages N` to end as soon as N are there.
    Every property is preceded by its option, for example::

        console_consumer("orders", "--max-messages", "1",
                         "--formatter-property", "print.headers=true", "--formatter-property", "print.key=true")
        # b"h1:v1,h2:v2\tkey\tvalue\n"

    Formatter properties: print.timestamp, print.partition, print.offset, print.headers, print.key, print.value (printed
    in this order), key.separator (between all parts), headers.separator, line.separator, null.literal. A missing header
    list prints as NO_HEADERS, a null as `null`. Other options: --group, --isolation-level read_committed,
    --command-property CONSUMER_SETTING=VALUE, --partition with --offset (then without `--from-beginning`).
    """
    start = [] if "--offset" in arguments else ["--from-beginning"]
    fixed = ["--bootstrap-server", KAFKA.url, "--topic", topic, "--timeout-ms", str(int(timeout * 1000))]
    main = "org.apache.kafka.tools.consumer.ConsoleConsumer"
    return KAFKA.tool(main, *fixed, *start, *arguments, timeout=timeout + 60)


def console_producer(topic: str, lines: bytes, *arguments: str, timeout: float = 60) -> bytes:
    r"""Send every line to a topic with Kafka's ConsoleProducer and return what it printed, which is usually nothing.

    Every property is preceded by its option, for example::

        console_producer("orders", b"h1:v1,h2:v2|key|value\n",
                         "--reader-property", "parse.headers=true", "--reader-property", "headers.delimiter=|",
                         "--reader-property", "parse.key=true", "--reader-property", "key.separator=|")

    Reader properties: parse.headers, parse.key, headers.delimiter (after the headers), headers.separator (between two),
    headers.key.separator (inside one), key.separator, null.marker (what stands for a null), ignore.error. Without
    separators of your own a line is `h1:v1,h2:v2 TAB key TAB value`. Other options: --sync,
    --command-property PRODUCER_SETTING=VALUE.
    """
    fixed = ["--bootstrap-server", KAFKA.url, "--topic", topic]
    return KAFKA.tool("org.apache.kafka.tools.ConsoleProducer", *fixed, *arguments, stdin=lines, timeout=timeout)
