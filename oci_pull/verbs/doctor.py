"""What a pull would use, and how far it would come: looked at and tried, and nothing changed."""

from contextlib import ExitStack
from dataclasses import dataclass

from oci_pull.errors import OciPullError
from oci_pull.oci.reference import Locator
from oci_pull.ports import Cancel, Observer, Source
from oci_pull.settings import Settings
from oci_pull.sources import make_credentials, open_registry, open_source
from oci_pull.verbs.finding import Finding, Report, State, checked
from oci_pull.verbs.reach import STEPS, Route, reach
from oci_pull.verbs.surroundings import local
from oci_pull.verbs.target import Target
from oci_pull.verbs.watch import Watch


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that an examination needs."""

    settings: Settings
    #: None for this machine alone.
    target: Target | None
    observer: Observer
    cancel: Cancel
    user_agent: str

    def run(self) -> Report:
        """What was found; a registry is asked only where one was named, and nobody when offline.

        Raises:
            Cancelled: stopped meanwhile.
        """
        # A helper that has the credential, or a disk that is a network, may hang as well.
        return self._watch.run(self._examine)

    @property
    def _watch(self) -> Watch:
        return Watch(self.observer, self.cancel)

    def _examine(self) -> Report:
        target = self.target
        findings = list(local(self.settings, target, self.user_agent))
        if target is None or self.settings.offline:
            why = "nobody was named" if target is None else "offline"
            findings += [Finding(step, State.SKIPPED, why) for step in STEPS]
        elif target.host:
            with ExitStack() as stack:
                findings += self._remote(target, stack)
        else:
            findings.append(checked("manifest", self._on_disk))
        return Report(tuple(findings))

    def _remote(self, target: Target, stack: ExitStack) -> list[Finding]:
        settings, locator = self.settings, target.locator
        try:
            # What is broken about it was said before.
            places = make_credentials(settings, lambda _: None, target.host)
            who = places.find(target.host, target.repository)
            endpoint = open_registry(
                target.host,
                settings,
                who,
                stack,
                repository=target.repository,
                user_agent=self.user_agent,
            )
            source = self._source(locator, stack) if locator else None
        except OciPullError as error:
            rest = (Finding(step, State.SKIPPED, "name failed") for step in STEPS[1:])
            return [Finding.failed(STEPS[0], error), *rest]
        selector = (locator.digest or locator.moving_tag or "") if locator else ""
        route = Route(
            endpoint=endpoint,
            document=(lambda: source.document(selector)) if source else None,
            path=f"/v2/{target.repository}/manifests/{selector}",
            who=str(who),
            watch=self._watch,
            patience=settings.connect_timeout + settings.stall_timeout,
        )
        return list(reach(route))

    def _source(self, locator: Locator, stack: ExitStack) -> Source:
        return open_source(
            locator,
            self.settings,
            self.observer,
            stack,
            cancel=self.cancel,
            user_agent=self.user_agent,
        )

    def _on_disk(self) -> Finding:
        assert self.target is not None
        locator = self.target.locator
        assert locator is not None
        with ExitStack() as stack:
            selector = locator.digest or locator.moving_tag or ""
            found = self._source(locator, stack).document(selector).descriptor
        facts = {"digest": str(found.digest), "type": found.media_type}
        return Finding("manifest", State.OK, str(found.digest), facts)
