"""What a pull would use, and how far it would come: looked at and tried, and nothing changed."""

from contextlib import ExitStack
from dataclasses import dataclass

from oci_pull.errors import OciPullError, UsageError
from oci_pull.oci.reference import LayoutReference, Locator
from oci_pull.ports import Cancel, Observer, Source
from oci_pull.settings import Settings
from oci_pull.sources.source import Sources, open_registry, open_repository
from oci_pull.verbs.finding import Finding, Report, State, checked
from oci_pull.verbs.reach import STEPS, Route, reach
from oci_pull.verbs.surroundings import Identity, local
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
    #: Why the configuration file does not count, though there is one.
    broken: UsageError | None = None

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
        identity = Identity.find(self.settings, target, self.cancel)
        findings = list(local(self.settings, target, self.user_agent, identity))
        if self.broken:
            # Everything else is as it would be without the file.
            findings[0] = Finding.failed(findings[0].name, self.broken)
        if target is None or self.settings.offline:
            why = "nobody was named" if target is None else "offline"
            findings += [Finding(step, State.SKIPPED, why) for step in STEPS]
        elif target.host:
            with ExitStack() as stack:
                findings += self._remote(target, identity, stack)
        else:
            findings.append(checked("manifest", lambda: self._on_disk(identity)))
        return Report(tuple(findings))

    def _remote(self, target: Target, identity: Identity, stack: ExitStack) -> list[Finding]:
        settings, locator, who = self.settings, target.locator, identity.who
        try:
            if identity.error:
                raise identity.error
            endpoint = open_registry(
                target.host,
                settings,
                who,
                stack,
                repository=target.repository,
                observer=self.observer,
                user_agent=self.user_agent,
            )
            source = self._source(locator, identity, stack) if locator else None
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

    def _source(self, locator: Locator, identity: Identity, stack: ExitStack) -> Source:
        if identity.credentials and not isinstance(locator, LayoutReference):
            return open_repository(
                locator,
                self.settings,
                identity.credentials,
                self.observer,
                stack,
                user_agent=self.user_agent,
            )
        return Sources(
            locator,
            self.settings,
            self.observer,
            stack,
            cancel=self.cancel,
            user_agent=self.user_agent,
        ).open()

    def _on_disk(self, identity: Identity) -> Finding:
        assert self.target is not None
        locator = self.target.locator
        assert locator is not None
        with ExitStack() as stack:
            selector = locator.digest or locator.moving_tag or ""
            found = self._source(locator, identity, stack).document(selector).descriptor
        facts = {"digest": str(found.digest), "type": found.media_type}
        return Finding("manifest", State.OK, str(found.digest), facts)
