"""`styr metrics warm`: compiles what the engine would compile at its first start."""

from __future__ import annotations

import sys
import time

import click


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def warm(quiet: bool) -> None:
    """Compile the engine's kernels into the cache, so that its first start and first queries do not have to.

    \b
    Example:
      styr metrics warm
      STYR_KERNEL_CACHE=/var/cache/styr styr metrics warm --quiet
    """
    from styr.metrics.kernels import jit
    from styr.metrics.warm import warm_all

    began = time.perf_counter()
    width = 0

    def tell(kernel: str, done: int, total: int) -> None:
        nonlocal width
        line = f"{done + 1}/{total} {kernel}"
        if sys.stderr.isatty():
            click.echo(f"\r{line:<{width}}", nl=False, err=True)
            width = max(width, len(line))

    count = warm_all(tell if not quiet else lambda *_: None)
    if width:
        click.echo("\r" + " " * width + "\r", nl=False, err=True)
    click.echo(f"{count} kernels are ready in {jit.cache_root()} ({time.perf_counter() - began:.1f} s).")
