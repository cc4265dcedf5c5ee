"""``spikefleet completion``: the script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_SPIKEFLEET_COMPLETE"  # click's own, read by every spikefleet that a shell asks


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in SHELL.

    \b
    bash:  spikefleet completion bash > ~/.local/share/bash-completion/completions/spikefleet
    zsh:   spikefleet completion zsh > ~/.zfunc/_spikefleet   (a folder in $fpath)
    fish:  spikefleet completion fish > ~/.config/fish/completions/spikefleet.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(made(context.find_root().command, {}, "spikefleet", _VARIABLE).source())
