"""Dollars and hours, from counts and from what a sample took."""

from dataclasses import asdict, dataclass

from toolbox.aws import prices

S3_SECONDS = 0.1
"""What a source waits for S3 besides its rendering, in seconds: the download, and the last writes."""
ONE_VCPU_MB = 1769
"""The memory at which Lambda gives a whole vCPU; below it gives a share."""
GB = 1e9


@dataclass(frozen=True)
class Function:
    """What a second of the function costs."""

    architecture: str
    memory: int
    """In MB."""

    def dollars(self, seconds: float) -> float:
        """Return what running for so long costs."""
        return seconds * self.memory / 1024 * prices.LAMBDA_GB_SECOND[self.architecture]

    def seconds(self, rendering: float) -> float:
        """Return how long a source takes that this machine renders in so many seconds."""
        return rendering * max(1.0, ONE_VCPU_MB / self.memory) + S3_SECONDS


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a plan takes."""

    sampled: int
    """Sources that were rendered to find out."""
    seconds: float
    """Of the function."""
    bytes_before: float
    """Of the renditions of the sources that change, as far as they exist."""
    bytes_after: float
    function_usd: float
    requests_usd: float
    events_usd: float
    storage_usd_month: float
    """More or less than now, a month, once orphans and superseded renditions are gone."""

    @property
    def usd(self) -> float:
        """What it costs through the function, once."""
        return self.function_usd + self.requests_usd + self.events_usd

    def batch_usd(self, sources: int) -> float:
        """Return what it costs through S3 Batch Operations, once."""
        return self.usd + prices.BATCH_JOB + sources * prices.BATCH_TASK

    def hours(self, concurrency: int) -> float:
        """Return how long it takes with so many executions in parallel."""
        return self.seconds / concurrency / 3600

    def as_json(self, sources: int, concurrency: int) -> dict[str, float]:
        """Return it for plan.json."""
        return asdict(self) | {
            "usd": self.usd,
            "batch_usd": self.batch_usd(sources),
            "concurrency": concurrency,
            "hours": self.hours(concurrency),
        }


def requests_usd(puts: int, gets: int) -> float:
    """Return what requests to S3 cost."""
    return puts * prices.S3_PUT + gets * prices.S3_GET
