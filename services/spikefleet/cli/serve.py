"""``spikefleet serve``: every room on this machine, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikefleet.cli.options import needs_extra, settings_from
from spikefleet.core.failures.errors import InvalidConfigurationError, StorageUnavailableError

_NO_DATABASE = (
    "The service did not start. Look at the disk and at who may write to the database; restore a "
    "damaged one from its backup, or move it away to begin with an empty one. For a bucket, look "
    "at its endpoint and at the credentials."
)


@click.command()
@click.option("--address", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
@click.option(
    "--data",
    "data_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the database, the artifacts and the scratch of running sorts.",
)
@click.option(
    "--recording-root",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder in which every user may register recordings in place; may be given again.",
)
@click.option(
    "--artifacts-url",
    metavar="URL",
    help="Where recordings and results are kept: file:///FOLDER, or a bucket, "
    "s3://BUCKET/PREFIX?endpoint=https://HOST.",
)
@click.option(
    "--s3-credentials",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with the files access-key and secret-key of the bucket.",
)
@click.option("--cpu-slots", type=int, help="Sorts at once without a GPU; 0: half the cores.")
@click.option("--gpu-slots", type=int, help="Sorts at once on a GPU each; -1: one per GPU.")
@click.option("--metrics-port", type=int, help="Port of /metrics; 0 takes a free one.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="How logs are written.")
@click.option(
    "--stop-attempts-on-exit/--leave-attempts-running",
    default=None,
    help="What happens to running sorts when the service ends.",
)
@click.option(
    "--until-input-ends",
    is_flag=True,
    default=None,
    hidden=True,
    help="End with standard input too: for a program that starts a service of its own.",
)
@click.option(
    "--insecure",
    is_flag=True,
    default=None,
    help="Serve at an address that other machines reach: everybody there can use it.",
)
@click.pass_context
def serve(context: click.Context, /, **arguments: Any) -> None:
    """Run the service on this machine.

    Every option is also a setting, SPIKEFLEET_<NAME>. Ctrl-C or SIGTERM drains calls in flight;
    running sorts continue and the next start adopts them, unless they are to be stopped.
    """
    roots = arguments.pop("recording_root")
    settings = settings_from(recording_root=roots or None, **arguments)
    with needs_extra("embedded"):
        # Late: the whole service with its science stack; the other commands must stay quick.
        from spikefleet.deploy.embedded import ExposedAddressError  # noqa: PLC0415
        from spikefleet.deploy.embedded import serve as serve_until_stopped  # noqa: PLC0415
        from spikefleet.deploy.service_file import (  # noqa: PLC0415
            DataFolderBusyError,
            DataFolderOpenError,
        )
        from spikefleet.infra.stores.sql.database import SchemaTooNewError  # noqa: PLC0415

    try:
        context.exit(serve_until_stopped(settings))
    except (DataFolderBusyError, DataFolderOpenError, ExposedAddressError) as error:
        raise click.UsageError(str(error)) from error
    except InvalidConfigurationError as error:
        raise click.UsageError(error.message) from error
    except SchemaTooNewError as error:
        raise click.ClickException(str(error)) from error
    except StorageUnavailableError as error:
        # Its own next step is for runs that a service works on; here there is none yet.
        raise click.ClickException(f"{error.message}\n{_NO_DATABASE}") from error
