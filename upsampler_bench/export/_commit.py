"""Of which commit a run is: kept among its versions, since a run itself knows of no repository."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone

from upsampler_bench.results import Run

IDENTITY, DATE = "commit", "commit_date"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's full hash and when it was made (ISO 8601); the date is empty where nobody said it."""

    identity: str
    date: str = ""


def of(run: Run) -> Commit | None:
    """The commit that a run says it is of, or None."""
    versions = run.environment.versions
    return Commit(versions[IDENTITY], versions.get(DATE, "")) if versions.get(IDENTITY) else None


def named(run: Run, commit: Commit) -> Run:
    """The run, said to be of this commit."""
    versions = {**run.environment.versions, IDENTITY: commit.identity, DATE: commit.date}
    return replace(run, environment=replace(run.environment, versions=versions))


def moment(*texts: str) -> datetime:
    """The first of these that reads as a time of ISO 8601, in UTC; the epoch where none does."""
    for text in texts:
        try:
            found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            continue
        return found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return datetime.fromtimestamp(0, timezone.utc)
