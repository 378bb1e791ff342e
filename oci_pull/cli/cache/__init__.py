"""`oci-pull cache`: what is in the cache, and how it goes. A module for what changes together."""

import typer

from oci_pull.cli.cache.listing import df, ls
from oci_pull.cli.cache.removal import prune, rm
from oci_pull.cli.cache.verification import verify

cache = typer.Typer(help="What is in the cache.", rich_markup_mode=None)
for verb in (ls, df, rm, prune, verify):
    cache.command()(verb)
