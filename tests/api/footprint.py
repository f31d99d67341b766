"""What a request leaves behind: rows in any table, files in the state directory."""

from sqlalchemy import func, literal, select, table, text, union_all

from tests.api.service import Service

TABLES = text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")


def footprint(service: Service) -> tuple[dict[str, int], set[str]]:
    """The number of rows of every table, and the files but for the log."""
    with service.session() as session:
        names = session.scalars(TABLES).all()
        counts = [
            select(literal(name), select(func.count()).select_from(table(name)).scalar_subquery()) for name in names
        ]
        rows: dict[str, int] = {row[0]: row[1] for row in session.execute(union_all(*counts))}
    files = {str(path) for path in service.home.rglob("*") if path.is_file() and path.suffix != ".log"}
    return rows, files
