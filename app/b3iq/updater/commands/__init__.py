"""The verbs of an installed node's updater, one file each; `b3iq update` calls them."""

from b3iq.updater.commands.apply import apply
from b3iq.updater.commands.bundles import export_bundle, import_bundle
from b3iq.updater.commands.check import check
from b3iq.updater.commands.explain import explain
from b3iq.updater.commands.history import history
from b3iq.updater.commands.plan import plan
from b3iq.updater.commands.recover import recover
from b3iq.updater.commands.rollback import rollback
from b3iq.updater.commands.run import run
from b3iq.updater.commands.settings import settings

VERBS = (
    check, plan, apply, rollback, recover, history, explain,
    export_bundle, import_bundle, run, settings,
)  # fmt: skip
