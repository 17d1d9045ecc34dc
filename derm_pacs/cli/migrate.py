"""`derm-pacs migrate`: the database's schema."""

from derm_pacs.cli.opening import answering_url
from derm_pacs.cli.options import DEFAULT_CONFIG, Config, Json
from derm_pacs.cli.print.terminal import print_json
from derm_pacs.ledger import migrate as schema
from derm_pacs.settings.read import read


def migrate(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Bring the database to the schema of this program.

    The embedded database is started for it where the service does not run. Run it with the service stopped; `serve`
    does it by itself for the embedded database.

    Examples:
        derm-pacs migrate --config /etc/derm-pacs/derm-pacs.toml
    """
    with answering_url(read(config), start_embedded=True) as url:
        before = schema.current(url)
        schema.upgrade(url)
        if as_json:
            print_json({"before": before, "now": schema.current(url)})
        else:
            print(f"the database is at {schema.current(url)}" + ("; nothing to do" if before == schema.current(url) else ""))
