"""Plan a recipe for the existing sources of a stack; nothing is made."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from image_scaler.history import rejection_fingerprint
from image_scaler.renditions.keys import MANIFEST_FOLDER, MANIFEST_SUFFIX, REJECTION_FOLDER
from image_scaler.renditions.recipe import Recipe, Rule
from image_scaler.storage.s3 import CLIENT_CONFIG, S3Store
from toolbox import stack
from toolbox.aws import prices
from toolbox.aws.deployed import DeployedStack
from toolbox.aws.errors import call_errors
from toolbox.migration.changes import Change, Comparer, Counts, RuleCounts, is_up_to_date
from toolbox.migration.costs import GB, ONE_VCPU_MB, Estimate, Function, requests_usd
from toolbox.migration.files import Item, Lists
from toolbox.migration.inventory import list_inventory
from toolbox.migration.leftovers import KnownKeys, Leftover, Leftovers
from toolbox.migration.listing import ListedObject, in_manifest_order, in_order, list_objects
from toolbox.migration.recipes import RecipeHistory, RecordedRecipe, read_history
from toolbox.migration.sampling import Sample, Sampler
from toolbox.migration.states import (
    PARALLEL,
    Index,
    ReadManifest,
    State,
    look_at_manifest,
    read_index,
    with_states,
    write_index,
)
from toolbox.migration.stored import read_manifest
from toolbox.migration.visual_diff import VisualDiff

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class Totals:
    """What a plan has counted so far."""

    sources: int = 0
    """Whose upload invokes the function, and for which renditions.toml has renditions."""
    bytes: int = 0
    up_to_date: int = 0
    to_process: int = 0
    rejected_before: int = 0
    """Skipped: this version was rejected under this recipe."""
    archived: int = 0
    """Skipped: they must be restored first."""
    unstorable: int = 0
    """Skipped: a key would be longer than S3 allows."""
    looked_at: int = 0
    """Manifests that S3 was asked for, one by one."""
    puts: int = 0
    gets: int = 0
    orphans: int = 0
    by_rendition: dict[str, Counts] = field(default_factory=dict)
    by_rule: dict[str | None, RuleCounts] = field(default_factory=dict)
    """By the pattern of the rule; None: of the sources that no rule matches."""

    @classmethod
    def of_rules(cls, patterns: Iterable[str]) -> "Totals":
        """Return totals with zeros for each rule, and for the sources that none matches, in this order."""
        return cls(by_rule={pattern: RuleCounts() for pattern in (*patterns, None)})

    def see(self, source: ListedObject, rule: str | None) -> None:
        """Count a source, whether it changes or not."""
        self.sources += 1
        self.bytes += source.size
        self.by_rule.setdefault(rule, RuleCounts()).sources += 1

    def add(self, change: Change) -> None:
        """Count a source that changes."""
        self.to_process += 1
        self.puts += change.puts
        self.gets += change.gets
        self.orphans += len(change.orphans)
        rule = self.by_rule.setdefault(change.plan.rule, RuleCounts())
        rule.to_process += 1
        for name, counts in change.by_rendition.items():
            self.by_rendition.setdefault(name, Counts()).add(counts)
            rule.add(counts)

    def add_leftover(self, leftover: Leftover, rule: Rule | None) -> None:
        """Count an object that no recipe asks for any more."""
        self.orphans += 1
        self.by_rendition.setdefault(leftover.name, Counts()).orphan += 1
        self.by_rule.setdefault(rule.pattern.text if rule else None, RuleCounts()).orphan += 1

    @property
    def renditions(self) -> Counts:
        """The counts of all renditions."""
        total = Counts()
        for counts in self.by_rendition.values():
            total.add(counts)
        return total


@dataclass(frozen=True)
class Options:
    """What is planned, and how."""

    prefix: str = ""
    inventory: str | None = None
    """The address of an inventory's manifest.json, instead of a listing."""
    sample: int = 60
    concurrency: int = 8
    everything: bool = False
    """Also sources that are up to date."""
    retry_rejected: bool = False


@dataclass(frozen=True)
class Plan:
    """What the recipe changes, and what that takes."""

    totals: Totals
    estimate: Estimate
    content: dict[str, Any]
    """For plan.json and --json."""
    visual_diff: VisualDiff
    """What looks different."""
    note: str | None = None
    """Why the next plan will ask for all manifests again."""

    @property
    def has_changes(self) -> bool:
        """Whether there is something to do."""
        return self.totals.to_process > 0


@dataclass(frozen=True)
class Observer:
    """Hears how far a plan is."""

    step: Callable[[str], None] = lambda text: None
    """What is read now."""
    counted: Callable[[Totals], None] = lambda totals: None
    """The counts, which are complete before the sample is rendered."""
    sampled: Callable[[int, int], None] = lambda done, total: None
    """How many sources of the sample are rendered, and how many will be."""


class Planner:
    """Plans for one stack."""

    def __init__(self, deployed: DeployedStack, recipe: Recipe, session: boto3.Session) -> None:
        self._deployed = deployed
        self._recipe = recipe
        self._recorded = RecordedRecipe(recipe)
        with call_errors("create clients for AWS"):
            self._s3: S3Client = session.client("s3")
            config = CLIENT_CONFIG.merge(Config(max_pool_connections=PARALLEL))
            self._store = S3Store(session.client("s3", config=config))
            self._lambda = session.client("lambda")

    def plan(self, options: Options, out: Path | None, observer: Observer | None = None) -> Plan:
        """Return the plan, and write it if `out` is a path; raises CallError."""
        observer = observer or Observer()
        function = self._function()
        skipped = set() if options.retry_rejected else self._rejected(options.prefix, function)
        history = read_history(self._s3, self._deployed.destination_bucket)
        index = Index(read_index(self._s3, self._deployed.destination_bucket), options.prefix)
        sample = Sample(options.sample, self._recipe.id)
        try:
            with Lists(out) as lists, KnownKeys() as known:
                totals = Totals.of_rules(self._recipe.patterns)
                states = with_states(self._sources(options, known), self._manifests(options.prefix), index, self._look)
                comparer = Comparer(self._recorded, history, self._listed_keys)
                for change in self._changes(states, comparer, totals, skipped, options, observer, known):
                    totals.add(change)
                    sample.offer(change)
                    usd = requests_usd(change.puts, change.gets)
                    lists.add(Item(change.source.key, change.source.etag, usd), change.orphans)
                    known.add_change(change.source.key, change.orphans)
                for leftover in self._leftovers(history, known, options.prefix, observer):
                    totals.add_leftover(leftover, self._recipe.rule_for(leftover.source_key))
                    lists.add_leftover(leftover.source_key, leftover.key, waits=leftover.waits)
                observer.counted(totals)
                vcpus = max(1, round(function.memory / ONE_VCPU_MB))
                buckets = self._deployed.source_bucket, self._deployed.destination_bucket
                sampler = Sampler(self._s3, *buckets, self._recipe, vcpus=vcpus)
                estimate = self._estimate(sample, sampler, totals, function, observer)
                totals.looked_at = index.looks
                content = self._content(options, totals, estimate, function, sampler.visual_diff)
                lists.save(content)
            note = None
            if index.looks:
                note = write_index(self._s3, self._deployed.destination_bucket, index.finish())
        finally:
            index.close()
        return Plan(totals, estimate, content, sampler.visual_diff, note)

    def _function(self) -> Function:
        name = self._deployed.function
        with call_errors(f"read the settings of {name}"):
            settings = self._lambda.get_function_configuration(FunctionName=name)
        architecture = (settings.get("Architectures") or ["x86_64"])[0]
        return Function(architecture if architecture in prices.LAMBDA_GB_SECOND else "x86_64", settings["MemorySize"])

    def _rejected(self, prefix: str, function: Function) -> set[tuple[str, str]]:
        """Return key and ETag of the sources that this function rejects with this recipe."""
        bucket = self._deployed.destination_bucket
        fingerprint = rejection_fingerprint(self._recipe, function.memory * 1024**2)
        found = set()
        for listed in list_objects(self._s3, bucket, REJECTION_FOLDER + prefix):
            _, state = look_at_manifest(self._store, bucket, listed.key)
            if state and state.fingerprint == fingerprint:
                key = listed.key.removeprefix(REJECTION_FOLDER).removesuffix(MANIFEST_SUFFIX)
                found.add((key, state.source_etag))
        return found

    def _leftovers(
        self, history: RecipeHistory, known: KnownKeys, prefix: str, observer: Observer
    ) -> Iterator[Leftover]:
        """Yield what exists and is not asked for any more, besides the orphans that are known from manifests."""
        destination = self._deployed.destination_bucket
        buckets = self._deployed.source_bucket, destination
        leftovers = Leftovers(self._store, buckets, self._recorded, history.recipes, known)
        for listed_prefix in leftovers.prefixes(prefix):
            observer.step(f"Looking for what is not asked for any more: {listed_prefix}")
            yield from leftovers.find(list_objects(self._s3, destination, listed_prefix), prefix)

    def _sources(self, options: Options, known: KnownKeys) -> Iterator[ListedObject]:
        bucket = self._deployed.source_bucket
        if options.inventory:
            listed = list_inventory(self._s3, options.inventory, bucket, options.prefix)
        else:
            listed = list_objects(self._s3, bucket, options.prefix)
        is_source = stack.source_filter(self._deployed.delivery, self._deployed.any_suffix)
        for source in in_manifest_order(in_order(listed, f"the listing of {bucket}")):
            known.add_source(source.key, source.etag)
            if is_source(source.key):
                yield source

    def _manifests(self, prefix: str) -> Iterator[ListedObject]:
        bucket = self._deployed.destination_bucket
        return in_order(list_objects(self._s3, bucket, MANIFEST_FOLDER + prefix), f"the listing of {bucket}")

    def _look(self, manifest_key: str) -> ReadManifest:
        return look_at_manifest(self._store, self._deployed.destination_bucket, manifest_key)

    def _listed_keys(self, manifest_key: str) -> dict[str, str]:
        manifest = read_manifest(self._s3, self._deployed.destination_bucket, manifest_key)
        return {entry.key: entry.name for entry in manifest.renditions} if manifest else {}

    def _changes(
        self,
        states: Iterable[tuple[ListedObject, State | None]],
        comparer: Comparer,
        totals: Totals,
        skipped: set[tuple[str, str]],
        options: Options,
        observer: Observer,
        known: KnownKeys,
    ) -> Iterator[Change]:
        """Yield what changes, source by source."""
        for source, state in states:
            plan = self._recorded.plan_for(source.key)
            if plan is not None and not plan.targets:
                continue
            if state and state.asked is not None and state.source_etag == source.etag:
                plan = self._recorded.plan_for(source.key, state.asked)
                known.add_asked(source.key, state.asked)
            if plan:
                totals.see(source, plan.rule)
            else:
                rule = self._recipe.rule_for(source.key)
                totals.see(source, rule.pattern.text if rule else None)
            if totals.sources % 1000 == 0:
                observer.step(f"Reading: {totals.sources:,} sources")
            if plan is None:
                totals.unstorable += 1
            elif not options.everything and is_up_to_date(source, plan, state, self._recorded):
                totals.up_to_date += 1
            elif source.is_archived:
                totals.archived += 1
            elif (source.key, source.etag) in skipped:
                totals.rejected_before += 1
            else:
                yield comparer.change(source, plan, state)

    def _estimate(
        self,
        sample: Sample,
        sampler: Sampler,
        totals: Totals,
        function: Function,
        observer: Observer,
    ) -> Estimate:
        chosen = sample.chosen()
        measured = []
        for number, (stratum, change) in enumerate(chosen, 1):
            measured.append((stratum, sampler.measure(change)))
            observer.sampled(number, len(chosen))
        found = [(stratum, result) for stratum, result in measured if result]
        all_ = sample.totals(found)
        mean = all_.seconds / totals.to_process if totals.to_process else 0.0
        seconds = totals.to_process * function.seconds(mean)
        before, after = sum(all_.before.values()), sum(all_.after.values())
        return Estimate(
            sampled=len(found),
            seconds=seconds,
            bytes_before=before,
            bytes_after=after,
            function_usd=function.dollars(seconds) + totals.to_process * prices.LAMBDA_REQUEST,
            requests_usd=requests_usd(totals.puts, totals.gets),
            events_usd=totals.to_process * prices.EVENT if self._recipe.events else 0.0,
            storage_usd_month=(after - before) / GB * prices.S3_GB_MONTH,
        )

    def _content(
        self, options: Options, totals: Totals, estimate: Estimate, function: Function, visual_diff: VisualDiff
    ) -> dict[str, Any]:
        return {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "stack": {
                "source_bucket": self._deployed.source_bucket,
                "destination_bucket": self._deployed.destination_bucket,
                "function": self._deployed.function,
            },
            "function": asdict(function),
            "prefix": options.prefix,
            "inventory": options.inventory,
            "recipe": self._recipe.id,
            "counts": {
                **{name: value for name, value in asdict(totals).items() if isinstance(value, int)},
                "renditions": asdict(totals.renditions),
            },
            "by_rendition": {name: asdict(counts) for name, counts in totals.by_rendition.items()},
            "by_rule": [{"match": pattern, **asdict(counts)} for pattern, counts in totals.by_rule.items()],
            "estimate": estimate.as_json(totals.to_process, options.concurrency),
            "visual_diff": visual_diff.as_json(),
            "prices": prices.AS_OF.isoformat(),
        }
