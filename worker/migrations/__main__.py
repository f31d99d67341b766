"""`python -m worker.migrations`: bring the database up to date, install owners, keys and accounts from the settings."""

from config.logging import setup
from config.settings import settings
from worker.migrations.install import install


def main() -> None:
    """Once."""
    setup("migrations")
    install(settings())


if __name__ == "__main__":
    main()
