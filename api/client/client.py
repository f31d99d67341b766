"""The client: everything that can be asked of the service, from one object."""

from .accounts import Accounts
from .batches import Batches
from .catalogs import Catalogs
from .events import Events
from .publishers import Publishers
from .renders import Renders
from .sessions import Sessions
from .templates import Templates
from .triggers import Triggers
from .uploads import Uploads
from .videos import Videos
from .webhook_endpoints import WebhookEndpoints


class Client(
    Renders,
    Templates,
    Batches,
    Sessions,
    Events,
    Uploads,
    Videos,
    Catalogs,
    Triggers,
    Publishers,
    WebhookEndpoints,
    Accounts,
):
    """Calls of the service; the models they return keep every field it sends (`to_dict()`).

    Safe to share between threads. `patience` is for how many seconds a call may go on repeating itself; what the
    service asks to wait for longer than that is raised at once. Every method raises ApiError, Unreachable and
    NotTheService; methods that change something take an `idempotency_key` of your own (one for each thing wanted), so
    that a program that starts again asks for the same thing again.
    """
